"""An account as it was linked: what does not change while it trades."""

from msgspec import Struct

from fxsocket_server.model.enums import AccountKind, MarginMode


class Account(Struct, frozen=True, kw_only=True):
    """A linked account; `stop_out_level` and `margin_call_level` are percentages times 100."""

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


class AccountFigures(Struct, frozen=True, kw_only=True, gc=False):
    """An account's money at one moment, in minor units; free margin = equity - margin."""

    balance: int
    credit: int
    equity: int
    profit: int
    margin: int
    free_margin: int
