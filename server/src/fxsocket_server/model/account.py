"""An account as it was linked: what does not change while it trades."""

from msgspec import Struct

from fxsocket_server.model.enums import AccountKind, FreeMarginMode, MarginMode


class Account(Struct, frozen=True, kw_only=True):
    """A linked account; `stop_out_level` and `margin_call_level` are percentages times 100.

    `deposit` is what a simulated one begins with, in minor units; None: the server's default.
    """

    id: str
    user_id: str
    name: str
    platform: str
    kind: AccountKind
    broker: str
    server: str
    login: int
    mode: str
    margin_mode: MarginMode
    currency: str
    money_digits: int
    leverage: int
    stop_out_level: int
    margin_call_level: int
    profile: str
    seed: int
    created_ms: int
    driver: str | None = None
    deposit: int | None = None
    is_disconnected: bool = False  # by its user, until it is connected again
    made_with_key: str | None = None  # the Idempotency-Key of the request that made it
    made_as: str = ""  # a digest of that request


class AccountFigures(Struct, frozen=True, kw_only=True, gc=False):
    """An account's money at one moment, in minor units; free margin = equity - margin."""

    balance: int
    credit: int
    equity: int
    profit: int
    margin: int
    free_margin: int


def account_figures(
    balance: int,
    credit: int,
    floating: int,
    used_margin: int,
    *,
    mode: FreeMarginMode = FreeMarginMode.ALL_PROFIT,
    blocked: int = 0,
    assets: int = 0,
    liabilities: int = 0,
) -> AccountFigures:
    """Equity and free margin from their parts, in minor units.

    `floating` is open profit with swaps; `mode` says how much of it counts as free margin. Daily
    and monthly commission that is `blocked` is neither equity nor free margin. `assets` are the
    value of collateral.
    """
    own = balance + credit - blocked + assets - liabilities
    usable = {
        FreeMarginMode.NO_PROFIT: 0,
        FreeMarginMode.PROFIT_ONLY: max(floating, 0),
        FreeMarginMode.LOSS_ONLY: min(floating, 0),
    }.get(mode, floating)
    return AccountFigures(
        balance=balance,
        credit=credit,
        equity=own + floating,
        profit=floating,
        margin=used_margin,
        free_margin=own + usable - used_margin,
    )
