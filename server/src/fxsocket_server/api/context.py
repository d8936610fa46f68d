"""What the endpoints are given, instead of globals."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from fxsocket_server.core.clock import Clock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.accounts.manage import AccountManager
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.gateway.keys.records import Records
from fxsocket_server.gateway.keys.service import Keys
from fxsocket_server.security.ip_rules import TrustedProxies
from fxsocket_server.security.keys import Keyring
from fxsocket_server.security.rate_limit import RateLimiter


class Context(Struct, kw_only=True):
    """The server's parts as endpoints and middleware see them.

    A simulated world has no store of keys, and so neither `keys` nor `records`.
    """

    gateway: Gateway
    keyring: Keyring
    clock: Clock
    ids: IdFactory
    requests: RateLimiter
    risk_reducing: RateLimiter
    strangers: RateLimiter
    version: str
    spec_folder: Path
    is_ready: Callable[[], str | None]
    log: Callable[..., None]
    accounts: AccountManager | None = None  # None: they are fixed
    keys: Keys | None = None
    records: Records | None = None
    proxies: TrustedProxies = TrustedProxies()
