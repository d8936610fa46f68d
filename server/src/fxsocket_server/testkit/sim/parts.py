"""What all parts of a simulated world agree on: addresses, the key, the brokers, the accounts."""

from functools import lru_cache

from msgspec.structs import replace

from fxsocket_server.bootstrap.accounts import load_profile, new_account
from fxsocket_server.broker.profile import Profile
from fxsocket_server.gateway.accounts.make import terminal_account
from fxsocket_server.model.account import Account
from fxsocket_server.security.connector_tokens import ConnectorToken, token_of
from fxsocket_server.settings import Settings
from fxsocket_server.testkit.sim.plan import AccountPlan

HOST, PORT, STREAM_PORT, BRIDGE_PORT = "server", 8000, 8001, 8002
STREAM_PATH = "/v1/stream"
USER = "usr_sim"
SECRET = "sim-key"  # noqa: S105 - the key of a world that has no outside
PEPPER = b"p" * 32
SYMBOLS = ("EURUSD", "USDJPY")


@lru_cache
def profile(name: str) -> Profile:
    """A broker with few symbols, so that a world is quick."""
    whole = load_profile(name)
    return replace(
        whole,
        symbols={symbol: whole.symbols[symbol] for symbol in SYMBOLS},
        generators={symbol: whole.generators[symbol] for symbol in SYMBOLS},
    )


def account_of(plan: AccountPlan) -> Account:
    """An account as the server knows it before anybody has dialled in."""
    broker = profile(plan.profile)
    if not plan.terminal:
        settings = Settings(profile=plan.profile)
        return new_account(settings, broker, plan.id, USER, plan.number, plan.number)
    return terminal_account(
        account_id=plan.id,
        user_id=USER,
        name=f"Terminal {plan.number}",
        server=broker.server,
        login=1_000 + plan.number,
        platform=broker.rules.platform.value,
        now_ms=plan.number,
    )


def connector_token(account_id: str) -> ConnectorToken:
    """The token of an account's terminal."""
    return token_of(PEPPER, account_id)
