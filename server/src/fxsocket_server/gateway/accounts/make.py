"""New accounts as records: a simulated one at a broker profile, one whose terminal dials in."""

from collections.abc import Iterable

from fxsocket_server.broker.profile import Profile
from fxsocket_server.model.account import Account
from fxsocket_server.model.conversion import currency_digits
from fxsocket_server.model.enums import AccountKind, MarginMode
from fxsocket_server.model.units import fixed_of

_FIRST_LOGIN, _LOGINS = 10_000_000, 90_000_000


def simulated_account(
    profile: Profile,
    *,
    account_id: str,
    user_id: str,
    name: str,
    profile_name: str,
    login: int,
    seed: int,
    now_ms: int,
    kind: AccountKind = AccountKind.SIM,
    currency: str | None = None,
    leverage: int | None = None,
    balance: float | None = None,
) -> Account:
    """A simulated account; currency and leverage of None are the profile's own."""
    currency = (currency or profile.currency).upper()
    money_digits = currency_digits(currency)
    return Account(
        id=account_id,
        user_id=user_id,
        name=name,
        platform=profile.rules.platform.value,
        kind=kind,
        broker=profile.company,
        server=profile.server,
        login=login,
        mode="DEMO",
        margin_mode=profile.rules.margin_mode,
        currency=currency,
        money_digits=money_digits,
        leverage=leverage or profile.leverage,
        stop_out_level=profile.stop_out_level,
        margin_call_level=profile.margin_call_level,
        profile=profile_name,
        seed=seed,
        created_ms=now_ms,
        deposit=None if balance is None else fixed_of(balance, money_digits),
    )


def login_of(seed: int, taken: Iterable[int] = ()) -> int:
    """The number of a simulated account: its seed's, or the next one that is free."""
    used, number = set(taken), seed % _LOGINS
    while _FIRST_LOGIN + number in used:  # ends: there are fewer accounts than numbers
        number = (number + 1) % _LOGINS
    return _FIRST_LOGIN + number


def terminal_account(
    *,
    account_id: str,
    user_id: str,
    name: str,
    server: str,
    login: int,
    platform: str,
    now_ms: int,
    driver: str | None = None,
) -> Account:
    """An account whose terminal will dial in and say the rest: until then it has no currency."""
    return Account(
        id=account_id,
        user_id=user_id,
        name=name,
        platform=platform,
        kind=AccountKind.TERMINAL,
        broker="",
        server=server,
        login=login,
        mode="DEMO",
        margin_mode=MarginMode.HEDGING,
        currency="",
        money_digits=2,
        leverage=0,
        stop_out_level=0,
        margin_call_level=0,
        profile="",
        seed=0,
        created_ms=now_ms,
        driver=driver,
    )
