"""What it costs to know who asks: key, address, scope and rate of one request, in CPU time.

`python bench/auth.py [--keys 10000] [--requests 100000]` puts so many keys into the ring and lets
requests of random ones through the REST port's own front, which ends before the body is read. Every
key has networks that it may be used from. Counts the SQL statements meanwhile. Writes
bench/results/auth.json.
"""

import argparse
import asyncio
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from _host import Aim, host, show_aims, table, write
from sqlalchemy import Engine, event

from fxsocket_server.api.app import API_ROUTES
from fxsocket_server.api.context import Context
from fxsocket_server.api.front import Front
from fxsocket_server.bootstrap.server import spec_folder
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.core import limits
from fxsocket_server.core.clock import SystemClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.security.ip_rules import TrustedProxies, ip_rule
from fxsocket_server.security.key_format import digest_of, mint_secret
from fxsocket_server.security.keys import ApiKey, Keyring
from fxsocket_server.security.principal import Scope
from fxsocket_server.security.rate_limit import RateLimiter
from fxsocket_server.storage.app.store import AppStore
from fxsocket_server.storage.history.bundled import BundledHistory
from fxsocket_server.storage.journal.sqlite import SqliteJournal

PEPPER = b"p" * 32
USER = "usr_bench"
NETWORKS = ("198.51.100.0/24", "2001:db8::/32", "203.0.113.0/25", "203.0.113.128/25")
CLIENTS = [f"203.0.113.{n}" for n in range(256)]
ORDER = next(operation for operation in API_ROUTES if operation.name == "POST /v1/orders")
CASES = ("direct, any address", "direct, 4 networks", "proxy, 4 networks", "without a valid key")


def fill(store: AppStore, count: int) -> list[str]:
    """Store so many keys, every second one with networks; their secrets."""
    source = SplitMix64(7)
    store.ensure_user(USER, "Bench", 0)
    secrets = [mint_secret(source.bytes) for _ in range(count)]
    for number, secret in enumerate(secrets):
        key = ApiKey(
            id=f"key_{number:06d}",
            user_id=USER,
            name="bench",
            digest=digest_of(PEPPER, secret),
            scope=Scope.TRADE,
            account_ids=None,
            default_account_id=None,
            created_ms=number,
            ip_rules=NETWORKS if number % 2 else (),
        )
        store.keys.put(key)
    return secrets


def _without_waiting(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")  # 10,000 commits that nobody needs


def front_of(store: AppStore, folder: Path, proxies: TrustedProxies) -> Front:
    """The REST port's front over the stored keys; nothing behind it."""
    clock = SystemClock()
    keys, _ = store.keys.changed_since(-1)
    ids = IdFactory(SplitMix64(1).bytes, clock.wall_ms)
    journal = SqliteJournal(folder / "journal.db", asyncio.get_running_loop())
    bus = InProcessBus(print)
    never = 1e12
    context = Context(
        gateway=Gateway(journal, bus, clock, ids, BundledHistory()),
        keyring=Keyring(PEPPER, keys, clock.wall_ms),
        clock=clock,
        ids=ids,
        requests=RateLimiter(never, limits.REQUESTS_BURST),
        risk_reducing=RateLimiter(never, limits.REQUESTS_BURST),
        strangers=RateLimiter(never, limits.UNKNOWN_BURST),
        version="bench",
        spec_folder=spec_folder(),
        is_ready=lambda: None,
        log=print,
        proxies=proxies,
    )

    async def end(scope: Any, _receive: Any, _send: Any) -> None:
        scope["fxs.principal"].require(ORDER.scope)

    return Front(end, frozenset(), context)


def request(secret: str, peer: str, forwarded: str | None) -> dict[str, Any]:
    """An order's request as uvicorn tells of it, without its body."""
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"user-agent", b"bench"),
        (b"accept", b"*/*"),
        (b"authorization", b"Bearer " + secret.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"0"),
    ]
    if forwarded is not None:
        headers.append((b"x-forwarded-for", forwarded.encode()))
    return {
        "type": "http", "method": "GET", "path": ORDER.path, "raw_path": ORDER.path.encode(),
        "query_string": b"", "client": (peer, 50_000), "headers": headers,
    }  # fmt: skip


def requests_of(case: str, secrets: list[str], count: int, rng: Random) -> list[dict[str, Any]]:
    """So many requests of random keys."""
    made = []
    for _ in range(count):
        number = rng.randrange(len(secrets) // 2) * 2
        client, forwarded = rng.choice(CLIENTS), None
        if "networks" in case:
            number += 1
        if case.startswith("proxy"):
            client, forwarded = "10.0.0.1", f"6.6.6.6, {client}"
        secret = secrets[number] if "without" not in case else "fxs_test_guess"
        made.append(request(secret, client, forwarded))
    return made


async def cost_us(front: Front, scopes: list[dict[str, Any]]) -> float:
    """CPU of one request in microseconds, what the interpreter needs to call it included."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(_message: Any) -> None:
        """Nobody listens."""

    began = time.process_time()
    for scope in scopes:
        await front(scope, receive, send)
    return (time.process_time() - began) / len(scopes) * 1e6


async def measure(folder: Path, keys: int, count: int) -> tuple[dict[str, float], int]:
    """Microseconds of each case, and the statements that were sent meanwhile."""
    event.listen(Engine, "connect", _without_waiting)
    store = AppStore(f"sqlite:///{folder / 'app.db'}")
    secrets = fill(store, keys)
    proxies = TrustedProxies([ip_rule("10.0.0.0/8")])
    front = front_of(store, folder, proxies)
    statements: list[object] = []
    event.listen(Engine, "before_cursor_execute", lambda *call: statements.append(call))
    rng = Random(7)
    figures = {}
    for case in CASES:
        await cost_us(front, requests_of(case, secrets, count // 20, rng))  # warm
        rounds = [
            await cost_us(front, requests_of(case, secrets, count // 5, rng)) for _ in range(5)
        ]
        figures[case] = round(sorted(rounds)[2], 2)
    return figures, len(statements)


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    machine = host()
    with TemporaryDirectory() as folder:
        figures, statements = asyncio.run(measure(Path(folder), options.keys, options.requests))
    table("CPU of one request, us", list(figures), [list(figures.values())])
    aims = (
        Aim(
            name="authentication, address, scope and rate of one request, us of CPU",
            figure=max(figures.values()),
            bound=50,
        ),
        Aim(name="SQL statements", figure=statements, bound=0),
    )
    show_aims(aims)
    write("auth", machine, {"keys": options.keys, "cpu_us": figures, "aims": aims})


if __name__ == "__main__":
    main()
