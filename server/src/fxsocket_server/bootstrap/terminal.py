"""Composes a simulated terminal: settings become a broker, a ledger and a way to the server."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct

from fxsocket_server.bootstrap.accounts import load_profile
from fxsocket_server.bootstrap.crash import CrashPoint, never
from fxsocket_server.bootstrap.data_folder import DataFolder
from fxsocket_server.bootstrap.faults import put_faults
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.generator import PriceGenerator
from fxsocket_server.broker.profile import Profile
from fxsocket_server.broker.state import FIRST_DEAL_TICKET, FIRST_ORDER_TICKET, AccountTerms
from fxsocket_server.connectors.sim.connector import SimCheckpoint, SimConnector
from fxsocket_server.connectors.sim.feeds import Feed, LiveFeed
from fxsocket_server.connectors.terminal.dialer import Dialer, Epochs, Identity
from fxsocket_server.connectors.terminal.journal import Ledger
from fxsocket_server.connectors.terminal.terminal import Terminal
from fxsocket_server.core import limits
from fxsocket_server.core.clock import SystemClock
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.fxb.messages import TerminalAccount
from fxsocket_server.gateway.ports import Reach
from fxsocket_server.model.units import fixed_of
from fxsocket_server.security.connector_tokens import TokenError, parse_token
from fxsocket_server.settings import SettingsError, TerminalSettings
from fxsocket_server.storage.terminal_ledger import LedgerError, TerminalLedger

LEDGER_FILE = "ledger.db"


class TerminalNotice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a running terminal tells its user, a line each: ready, connected, disconnected."""

    event: str
    login: int
    server: str
    ledger: str
    epoch: int | None = None
    why: str = ""


Notify = Callable[[TerminalNotice], None]


class SimTerminal:
    """A simulated terminal in a process of its own."""

    def __init__(self, settings: TerminalSettings, notify: Notify) -> None:
        self._settings = settings
        self._notify = notify
        self._clock = SystemClock()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the ledger, let the market run, dial the server."""
        settings = self._settings
        self._folder = DataFolder(settings.data)
        try:
            self._build()
        except BaseException:
            self._folder.release()
            raise
        self._say("ready")
        await self._connector.start(self._terminal)
        self._tasks = [
            asyncio.create_task(self._dialer.run(), name="dialer"),
            asyncio.create_task(self._keep_checkpoints(), name="checkpoints"),
        ]

    def _build(self) -> None:
        settings = self._settings
        path = settings.data / LEDGER_FILE
        self._ledger = opened_ledger(settings)
        profile = load_profile(settings.profile)
        seed = _kept_number(self._ledger, "seed", settings.seed, _random_seed)
        login = _kept_number(self._ledger, "login", settings.login, lambda: _login_of(seed))
        server = settings.server or profile.server
        terms = profile.terms(
            currency=settings.currency and settings.currency.upper(),
            leverage=settings.leverage,
            sessions_apply=settings.sessions,
        )
        feed = _live_feed(profile, seed, self._ledger, self._clock)
        self._connector = connect_terminal(terms, profile, feed, self._ledger)
        put_faults(settings.faults, self._connector)
        reach: Reach = CrashPoint(settings.crash_at) if settings.crash_at else never
        account = described(terms, profile)
        self._terminal = Terminal(
            self._connector, account, self._ledger, self._clock.wall_ms, reach
        )
        deposit_once(self._connector, self._terminal, self._ledger, terms, settings.balance)
        identity = _identity(settings, self._ledger, login, server)
        self._notice = TerminalNotice(
            event="ready", login=login, server=server, ledger=str(path.resolve())
        )
        self._dialer = Dialer(
            self._terminal,
            identity,
            kept_epochs(self._ledger),
            self._clock,
            SplitMix64(int.from_bytes(os.urandom(8), "big")),
            self._on_change,
        )

    def _say(self, event: str, **parts: object) -> None:
        self._notify(msgspec.structs.replace(self._notice, event=event, **parts))

    def _on_change(self, epoch: int | None, why: str) -> None:
        if epoch is None:
            self._say("disconnected", why=why)
        else:
            self._say("connected", epoch=epoch)

    async def _keep_checkpoints(self) -> None:
        while True:  # until the terminal stops
            await asyncio.sleep(limits.CHECKPOINT_MS / 1000)
            self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        self._ledger.keep("checkpoint", self._connector.checkpoint() or b"")

    async def stop(self) -> None:
        """Hang up, stop the market, and close the ledger."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connector.stop()
        self._save_checkpoint()
        self._ledger.close()
        self._folder.release()


# --- parts that a terminal inside a test is made of, too ----------------------------------------


def connect_terminal(
    terms: AccountTerms, profile: Profile, feed: Feed, ledger: Ledger
) -> SimConnector:
    """The simulated broker as its ledger left it."""
    connector = SimConnector("terminal", terms, profile.symbols, feed, _OpenGate())
    kept = ledger.note("checkpoint")
    known = SimCheckpoint([], None)
    if kept:
        known = msgspec.msgpack.decode(kept, type=SimCheckpoint)
    balance, credit = ledger.money
    connector.broker = Broker.rebuild(
        terms,
        profile.symbols,
        balance=balance,
        credit=credit,
        # The rest of a partial close has a number of its own on MT4, and no order.
        next_ticket=max(
            ledger.last_ticket("orders") + 1,
            ledger.last_ticket("positions") + 1,
            FIRST_ORDER_TICKET,
        ),
        next_deal_ticket=max(ledger.last_ticket("deals") + 1, FIRST_DEAL_TICKET),
        quotes=[quote for quote in known.quotes if quote.symbol in profile.symbols],
        orders=ledger.orders(only_open=True),
        positions=ledger.positions(only_open=True),
        time_ms=feed.now_ms(),
        rollover_ms=known.rollover_ms,
        day_deals=known.day_deals,
        month_deals=known.month_deals,
    )
    return connector


def described(terms: AccountTerms, profile: Profile) -> TerminalAccount:
    """The account as a terminal describes it."""
    return TerminalAccount(
        company=profile.company,
        currency=terms.currency,
        money_digits=terms.money_digits,
        leverage=terms.leverage,
        balance=0,
        credit=0,
        time_ms=0,
        offset_s=0,
        zone=terms.zone.name,
        platform=terms.platform,
        margin_mode=terms.margin_mode,
        margin_call_level=terms.margin_call_level,
        stop_out_level=terms.stop_out_level,
        stop_out_mode=terms.stop_out_mode,
        free_margin_mode=terms.free_margin_mode,
        sessions_apply=terms.sessions_apply,
        trade_allowed=terms.trade_allowed,
    )


def deposit_once(
    connector: SimConnector,
    terminal: Terminal,
    ledger: Ledger,
    terms: AccountTerms,
    balance: float,
) -> None:
    """Pay in when the account is new."""
    if ledger.last_ticket("deals"):
        return
    now = connector.time_ms()
    amount = fixed_of(balance, terms.money_digits)
    terminal.book(connector.broker.deposit(amount, now, "Initial deposit"), now)


def kept_epochs(ledger: Ledger) -> Epochs:
    """The highest epoch that was obeyed, in the ledger."""
    kept = ledger.note("epoch")
    highest = 0 if kept is None else int(kept)
    return Epochs(highest, lambda epoch: ledger.keep("epoch", str(epoch).encode()))


def ledger_id(ledger: Ledger) -> str:
    """What tells this ledger, and the numbers of its events, from any other."""
    kept = ledger.note("id")
    if kept is None:
        kept = os.urandom(16).hex().encode()
        ledger.keep("id", kept)
    return kept.decode()


class _OpenGate:
    """A gate that never holds: a terminal's market waits for nobody."""

    def held(self, account_id: str, lossless: bool) -> bool:
        return False

    async def wait(self, account_id: str, lossless: bool) -> None:
        return

    async def first_reader(self, account_id: str) -> None:
        return


# --- what the settings say ----------------------------------------------------------------------


def opened_ledger(settings: TerminalSettings) -> TerminalLedger:
    """The ledger of the data folder; SettingsError when the file is none."""
    try:
        return TerminalLedger(settings.data / LEDGER_FILE, synced=settings.sync)
    except LedgerError as error:
        raise SettingsError(f"--data {settings.data}: {error}") from None


def _kept_number(ledger: Ledger, name: str, given: int | None, choose: Callable[[], int]) -> int:
    """A number as given, or as at the first start."""
    kept = ledger.note(name)
    if given is None:
        given = choose() if kept is None else int(kept)
    ledger.keep(name, str(given).encode())
    return given


def _random_seed() -> int:
    return int.from_bytes(os.urandom(6), "big")


def _login_of(seed: int) -> int:
    return 10_000_000 + seed % 90_000_000


def _live_feed(profile: Profile, seed: int, ledger: Ledger, clock: SystemClock) -> LiveFeed:
    generator = PriceGenerator(profile.generators.values(), seed, clock.wall_ms())
    kept = ledger.note("checkpoint")
    if kept:
        saved = msgspec.msgpack.decode(kept, type=SimCheckpoint).feed
        if saved is not None:
            with suppress(ValueError):  # of another profile: its market begins anew
                generator.restore(saved)
    return LiveFeed(generator, clock)


def _identity(settings: TerminalSettings, ledger: Ledger, login: int, server: str) -> Identity:
    try:
        token = parse_token(settings.token)
    except TokenError as error:
        raise SettingsError(f"--token: {error}") from None
    return Identity(
        host=settings.host,
        port=settings.port,
        token=token,
        login=login,
        server=server,
        ledger=ledger_id(ledger),
        boot=os.urandom(16).hex(),
    )
