"""What all parts of a simulated world agree on: addresses, the key, the broker, the accounts."""

from functools import lru_cache

from fxsocket_server.bootstrap.accounts import load_profile, new_account
from fxsocket_server.broker.profile import Profile
from fxsocket_server.gateway.accounts.make import terminal_account as terminal_of
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import Platform
from fxsocket_server.security.connector_tokens import ConnectorToken, token_of
from fxsocket_server.settings import Settings

HOST, PORT, BRIDGE_PORT = "server", 8000, 8002
USER = "usr_sim"
SECRET = "sim-key"  # noqa: S105 - the key of a world that has no outside
PEPPER = b"p" * 32
SYMBOLS = ("EURUSD", "USDJPY")


@lru_cache(maxsize=1)
def profile() -> Profile:
    """The broker of every world."""
    return load_profile("standard")


def sim_account(number: int) -> Account:
    """The number-th account inside the server."""
    return new_account(Settings(), profile(), f"acc_{number}", USER, number, number)


def terminal_account(number: int) -> Account:
    """The number-th account whose terminal dials in."""
    return terminal_of(
        account_id=f"acc_t{number}",
        user_id=USER,
        name=f"Terminal {number}",
        server=profile().server,
        login=1_000 + number,
        platform=Platform.MT5.value,
        now_ms=number,
    )


def connector_token(account: Account) -> ConnectorToken:
    """The token of an account's terminal."""
    return token_of(PEPPER, account.id)
