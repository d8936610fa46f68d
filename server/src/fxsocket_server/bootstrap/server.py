"""One server in one process: every role, on one event loop."""

import asyncio
import os
import resource
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import structlog
from msgspec import Struct

import fxsocket_server
from fxsocket_server.api.app import build_app
from fxsocket_server.api.context import Context
from fxsocket_server.api.front import Front
from fxsocket_server.api.server import RestServer
from fxsocket_server.bootstrap.accounts import Progress, load_profile, load_replay, new_account
from fxsocket_server.bootstrap.data_folder import DataFolder
from fxsocket_server.bootstrap.linking import LOCAL_USER, registry_of
from fxsocket_server.bootstrap.running import Accounts
from fxsocket_server.bootstrap.secure_start import (
    allowed_origins,
    check_start,
    trusted_proxies,
)
from fxsocket_server.bootstrap.streaming import StreamOptions, StreamProcess
from fxsocket_server.broker.profile import Profile
from fxsocket_server.channels.bus import InProcessBus
from fxsocket_server.connectors.bridge.listener import BridgeListener
from fxsocket_server.core import limits
from fxsocket_server.core.clock import SystemClock
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.accounts.manage import AccountManager
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.gateway.keys.records import Records
from fxsocket_server.gateway.keys.service import Keys, Minting
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.ports import STOPPING, FeedGate
from fxsocket_server.gateway.risk.guard import RuleBook
from fxsocket_server.model.enums import AccountKind, AccountStatus
from fxsocket_server.security.key_format import digest_of, mint_secret
from fxsocket_server.security.keys import ApiKey, Keyring
from fxsocket_server.security.principal import Scope
from fxsocket_server.security.rate_limit import RateLimiter
from fxsocket_server.settings import Settings, SettingsError
from fxsocket_server.storage.app.store import AppStore
from fxsocket_server.storage.history.bundled import BundledHistory
from fxsocket_server.storage.journal.schema import JournalOpenError, silent
from fxsocket_server.storage.journal.space import FileReserve
from fxsocket_server.storage.journal.sqlite import SqliteJournal
from fxsocket_server.storage.tick_files import RecordedTicks
from fxsocket_server.stream.apart.near import NearEnd
from fxsocket_server.stream.bounds import StreamBounds
from fxsocket_server.stream.hub import StreamHub
from fxsocket_server.stream.in_process import GatewayBackend
from fxsocket_server.stream.server import StreamServer
from fxsocket_server.workers.checkpoint import keep_checkpoints, save_checkpoints
from fxsocket_server.workers.equity import EquitySampler, keep_equity
from fxsocket_server.workers.keys import KeySync, attempt, keep_keys, keep_usage
from fxsocket_server.workers.market import MarketWatch, watch_markets
from fxsocket_server.workers.retention import forget_old_rows
from fxsocket_server.workers.risk import RiskWatch, Rules, keep_risk
from fxsocket_server.workers.settle import settle_commands
from fxsocket_server.workers.space import watch_space

_DEMO_KEY = "demo"


class Addresses(Struct, frozen=True):
    """Where a running server listens, and the key that it gave out (None: none was minted)."""

    rest: str
    stream: str
    bridge: str
    api_key: str | None
    account_id: str | None
    dashboard: str | None = None


def server_version() -> str:
    """The version of the installed distribution."""
    try:
        return version("fxsocket-server")
    except PackageNotFoundError:
        return "0+unknown"


def spec_folder() -> Path:
    """The contract's files: in the package when installed from a wheel, else in the checkout."""
    package = Path(fxsocket_server.__file__).parent
    installed = package / "_spec"
    return installed if installed.is_dir() else package.parents[2] / "spec"


class Server:
    """Everything that runs, from settings; `demo` makes an account and a key when there is none."""

    def __init__(self, settings: Settings, *, demo: bool, progress: Progress | None = None) -> None:
        self._settings = settings
        self._demo = demo
        self._progress = progress
        self._clock = SystemClock()
        self._ids = IdFactory(os.urandom, self._clock.wall_ms)
        self._log = structlog.get_logger()
        self._tasks: list[asyncio.Task[None]] = []
        self._api_key: str | None = None
        self._account_id: str | None = None

    async def start(self) -> Addresses:
        """Open the state, rebuild the accounts, listen."""
        _raise_file_limit()
        settings = self._settings
        check_start(settings, self._log.warning)
        self._folder = DataFolder(settings.data)
        self._store = AppStore(self._folder.app_url)
        self._journal = self._open_journal()
        self._build_core()
        self._bridge = BridgeListener(settings.host, settings.bridge_port, self._clock, os.urandom)
        self._build_accounts()
        self._rest = RestServer(self._app(), settings.host, settings.port, settings.tls)
        await self._link_accounts()
        self._choose_default()
        self._set_up_key()
        stream_port = await self._stream.start()
        bridge_port = await self._bridge.start()
        await self._rest.start()
        self._start_workers()
        return self._addresses(stream_port, bridge_port)

    def _open_journal(self) -> SqliteJournal:
        path, megabytes = self._folder.journal_path, self._settings.journal_reserve_mb
        reserve = FileReserve(self._folder.reserve_path, megabytes * 1024 * 1024)
        try:
            return SqliteJournal(
                path, asyncio.get_running_loop(), self._progress or silent, reserve
            )
        except JournalOpenError as error:
            raise SettingsError(f"--data: {path}: {error}") from None

    def _build_core(self) -> None:
        self._bus = InProcessBus(self._on_bus_error)
        pepper = self._folder.pepper()
        keys, self._keys_version = self._store.keys.changed_since(-1)
        self._keyring = Keyring(pepper, keys, self._clock.wall_ms)
        self._gateway = Gateway(self._journal, self._bus, self._clock, self._ids, BundledHistory())
        self._rules = RuleBook()
        self._stored_rules = Rules(self._rules, self._store.risk_rules, self._log.error)
        self._stored_rules.put(self._store.risk_rules())
        self._risk_reducing = RateLimiter(limits.REQUESTS_PER_S, limits.REQUESTS_BURST)
        self._requests = RateLimiter(limits.REQUESTS_PER_S, limits.REQUESTS_BURST)
        self._strangers = RateLimiter(limits.UNKNOWN_PER_S, limits.UNKNOWN_BURST)
        backend = GatewayBackend(
            self._gateway, self._keyring, self._requests, self._risk_reducing, self._log
        )
        self._proxies = trusted_proxies(self._settings)
        self._keys = Keys(
            self._store.keys, self._keyring, self._bus, self._clock, self._ids,
            Minting(pepper, os.urandom), self._gateway.kinds, self._stored_rules.reload,
        )  # fmt: skip
        use = self._gateway.use
        self._records = Records(self._store.keys, self._clock, self._keyring, use)
        self._build_stream(backend, pepper)
        self._journal.on_failure(self._rebuild_lanes)
        self._journal.on_shortage(self._on_shortage)

    def _build_stream(self, backend: GatewayBackend, pepper: bytes) -> None:
        """Make the stream, here or in a process of its own, and the gate of its readers."""
        settings = self._settings
        options = StreamOptions(
            host=settings.host, port=settings.stream_port, flush_ms=settings.stream_flush_ms,
            trusted_proxy=settings.trusted_proxy, allowed_origin=allowed_origins(settings),
            tls=settings.tls,
        )  # fmt: skip
        self._gate: FeedGate
        self._stream: StreamServer | StreamProcess
        if settings.stream_process:
            near = NearEnd(self._gateway, backend, self._bus, self._keyring, pepper, self._log)
            self._gate = near.gate
            self._stream = StreamProcess(near, options, self._log)
        else:
            bounds = StreamBounds(flush_ms=options.flush_ms)
            self._gate = hub = StreamHub(
                backend, self._bus, self._clock, self._log, bounds=bounds, proxies=self._proxies
            )
            self._stream = StreamServer(
                hub, options.host, options.port, options.ssl_context(),
                origins=options.allowed_origin,
            )  # fmt: skip

    def _build_accounts(self) -> None:
        settings, pepper = self._settings, self._folder.pepper()
        self._accounts = Accounts(
            settings, self._gateway, self._store, self._gate, self._rules, self._bridge.peers,
            pepper, self._log.error,
        )  # fmt: skip
        registry = registry_of(settings, self._folder, self._store, self._ids, self._clock)
        self._manager = AccountManager(self._gateway, registry, self._accounts)

    def _on_bus_error(self, topic: str, error: Exception) -> None:
        self._log.error("a subscriber failed", topic=topic, exc_info=error)

    def _rebuild_lanes(self) -> None:
        self._log.error("the journal refused a commit; accounts go back to what is durable")
        for lane in self._lanes():
            lane.rebuild()

    def _on_shortage(self, shortage: str | None) -> None:
        if shortage is None:
            self._log.info("the journal's disk takes everything again; orders may be opened")
        else:
            self._log.error("the journal's disk: orders are closed, not opened", reason=shortage)

    def _lanes(self) -> list[Lane]:
        return [a.lane for a in self._gateway.accounts.values() if a.lane is not None]

    def _app(self) -> Front:
        return build_app(
            Context(
                gateway=self._gateway,
                accounts=self._manager,
                keyring=self._keyring,
                clock=self._clock,
                ids=self._ids,
                requests=self._requests,
                risk_reducing=self._risk_reducing,
                strangers=self._strangers,
                version=server_version(),
                spec_folder=spec_folder(),
                is_ready=self._not_ready_reason,
                log=self._log.error,
                proxies=self._proxies,
                keys=self._keys,
                records=self._records,
            )
        )

    def _not_ready_reason(self) -> str | None:
        waiting = [
            linked.account.id
            for linked in self._gateway.accounts.values()
            if linked.status is AccountStatus.CONNECTING
            and linked.account.kind is not AccountKind.TERMINAL  # nobody knows when it will dial
        ]
        return f"accounts are connecting: {', '.join(waiting)}" if waiting else None

    # --- accounts and keys -------------------------------------------------------------------

    async def _link_accounts(self) -> None:
        """Bring every stored account up; a replay begins as an account of its own."""
        profile = load_profile(self._settings.profile)
        recorded = load_replay(self._settings, profile, self._progress)
        self._store.ensure_user(LOCAL_USER, "Local user", self._clock.wall_ms())
        self._gateway.default_accounts.update(self._store.default_accounts())
        stored = self._store.accounts()
        for account in stored:
            await self._accounts.open(account)
        lasting = [account for account in stored if account.kind is not AccountKind.REPLAY]
        sims = [account for account in lasting if account.kind is AccountKind.SIM]
        if recorded or (self._demo and not sims):
            await self._open_account(profile, recorded)
        elif lasting:
            chosen = self._gateway.default_accounts.get(LOCAL_USER)
            self._account_id = chosen or (sims or lasting)[0].id
        else:
            raise SettingsError(
                f"--data {self._settings.data}: holds no account yet; "
                f"run: fxsocket-server demo --data {self._settings.data}, "
                f"or fxsocket-server account add --data {self._settings.data}"
            )

    async def _open_account(self, profile: Profile, recorded: list[RecordedTicks]) -> None:
        settings = self._settings
        seed = settings.seed
        if seed is None:
            seed = int.from_bytes(os.urandom(6), "big")
        account = new_account(
            settings, profile, self._ids.make("acc_"), LOCAL_USER, seed, self._clock.wall_ms()
        )
        self._store.add_account(account)
        await self._accounts.simulate(account, profile, recorded)
        self._account_id = account.id
        self._log.info("account opened", account_id=account.id, kind=account.kind.value)

    def _choose_default(self) -> None:
        """Let requests that name no account mean the first one, until its user chooses another."""
        defaults, chosen = self._gateway.default_accounts, self._account_id
        if chosen is not None and not self._settings.replay and LOCAL_USER not in defaults:
            self._store.put_default_account(LOCAL_USER, chosen)
            defaults[LOCAL_USER] = chosen

    def _set_up_key(self) -> None:
        """Give the demo its key: the one that was named, or a new one that replaces the last."""
        settings, now = self._settings, self._clock.wall_ms()
        if settings.api_key is None and not self._demo:
            return
        secret = settings.api_key or mint_secret(os.urandom)
        digest = digest_of(self._folder.pepper(), secret)
        ids = {key.digest: key.id for key in self._store.keys.valid()}
        for key in self._store.keys.valid():
            if key.name == _DEMO_KEY:
                self._keyring.put(_revoked(key, now))
        self._store.keys.revoke_named(_DEMO_KEY, now)
        key = ApiKey(
            id=ids.get(digest) or self._ids.make("key_"),  # its rules and answers go by it
            user_id=LOCAL_USER,
            name=_DEMO_KEY,
            digest=digest,
            scope=Scope.FULL,
            account_ids=None,
            default_account_id=self._account_id if settings.replay else None,
            created_ms=now,
        )
        self._store.keys.put(key)
        self._keyring.put(key)
        self._api_key = secret

    # --- life --------------------------------------------------------------------------------

    def _start_workers(self) -> None:
        self._tasks = [
            asyncio.create_task(keep_checkpoints(self._lanes), name="checkpoints"),
            asyncio.create_task(settle_commands(self._lanes), name="settle"),
            asyncio.create_task(watch_space(self._journal.check_space), name="space"),
            asyncio.create_task(self._keep_risk(), name="risk"),
            asyncio.create_task(keep_equity(EquitySampler(self._gateway)), name="equity"),
            asyncio.create_task(
                watch_markets(MarketWatch(self._gateway.accounts.values, self._bus)),
                name="markets",
            ),
            asyncio.create_task(
                forget_old_rows(self._journal, self._gateway.accounts, self._clock),
                name="retention",
            ),
            asyncio.create_task(keep_keys(self._key_sync(), self._log.error), name="keys"),
            asyncio.create_task(
                keep_usage(self._records.write_down, self._log.error), name="usage"
            ),
        ]

    def _key_sync(self) -> KeySync:
        return KeySync(self._store.keys, self._keyring, self._bus, self._keys_version)

    async def _keep_risk(self) -> None:
        watch = RiskWatch(self._lanes, self._bus, self._clock)
        await keep_risk(watch, self._stored_rules.reload, self._log.error)

    def _addresses(self, stream_port: int, bridge_port: int) -> Addresses:
        host = self._settings.host
        shown = f"[{host}]" if ":" in host else host
        secure = "s" if self._settings.tls else ""
        return Addresses(
            rest=f"http{secure}://{shown}:{self._rest.port}/v1",
            stream=f"ws{secure}://{shown}:{stream_port}/v1/stream",
            bridge=f"{shown}:{bridge_port}",
            api_key=self._api_key,
            account_id=self._account_id,
        )

    async def stop(self) -> None:
        """Say goodbye, finish what is under way, make everything durable."""
        self._bus.publish(STOPPING, None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(self._stream.stop(), self._bridge.stop(), self._rest.stop())
        for lane in self._lanes():
            await lane.connector.stop()
            lane.risk.save()
        save_checkpoints(self._lanes())
        self._journal.close()
        await attempt(self._records.write_down, self._log.error)
        self._store.close()
        self._folder.release()


def _revoked(key: ApiKey, now_ms: int) -> ApiKey:
    from msgspec.structs import replace

    return replace(key, revoked_ms=now_ms)


def _raise_file_limit() -> None:
    """Let the process hold as many sockets as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
