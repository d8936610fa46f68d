"""Makes simulated accounts: their terms, symbols, broker and feed, from the settings."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import msgspec

from fxsocket_server.bootstrap.faults import put_faults
from fxsocket_server.broker.generator import PriceGenerator
from fxsocket_server.broker.profile import Profile, ProfileError, parse_profile, with_file_digits
from fxsocket_server.connectors.sim.connector import SimCheckpoint, SimConnector
from fxsocket_server.connectors.sim.feeds import Feed, LiveFeed, ReplayFeed
from fxsocket_server.core.clock import Clock
from fxsocket_server.gateway.changes import AccountState
from fxsocket_server.gateway.ports import FeedGate
from fxsocket_server.model.account import Account
from fxsocket_server.model.conversion import currency_digits
from fxsocket_server.model.enums import AccountKind, MarginMode
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.settings import Settings, SettingsError
from fxsocket_server.storage.bar_files import BarTerms, has_bars, load_bars
from fxsocket_server.storage.table_files import TickFileError
from fxsocket_server.storage.tick_files import (
    RecordedTicks,
    load_ticks,
    merge,
    symbol_of,
)

Progress = Callable[[str, int], None]


def load_profile(name: str) -> Profile:
    """A broker profile by its name, or from a TOML file."""
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise SettingsError(f"--profile {name}: no such file")
        return _parsed(path.read_text(), name)
    bundled = files("fxsocket_server.broker") / "profiles" / f"{name}.toml"
    if not bundled.is_file():
        folder = files("fxsocket_server.broker") / "profiles"
        names = sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if ".toml" in f.name)
        raise SettingsError(f"--profile {name}: no such profile; there are: {', '.join(names)}")
    return _parsed(bundled.read_text(), f"{name}.toml")


def _parsed(text: str, source: str) -> Profile:
    try:
        return parse_profile(text, source)
    except ProfileError as error:
        raise SettingsError(f"--profile {error}") from None


def new_account(
    settings: Settings, profile: Profile, account_id: str, user_id: str, seed: int, now_ms: int
) -> Account:
    """A simulated account as the settings describe it."""
    kind = AccountKind.REPLAY if settings.replay else AccountKind.SIM
    currency = (settings.currency or profile.currency).upper()
    return Account(
        id=account_id,
        user_id=user_id,
        name="Replay" if settings.replay else "Demo",
        platform=profile.rules.platform.value,
        kind=kind,
        broker=profile.company,
        server=profile.server,
        login=10_000_000 + seed % 90_000_000,
        mode="DEMO",
        margin_mode=profile.rules.margin_mode,
        currency=currency,
        money_digits=currency_digits(currency),
        leverage=settings.leverage or profile.leverage,
        stop_out_level=profile.stop_out_level,
        margin_call_level=profile.margin_call_level,
        profile=settings.profile,
        seed=seed,
        created_ms=now_ms,
    )


def new_terminal_account(
    *, account_id: str, user_id: str, name: str, server: str, login: int, platform: str, now_ms: int
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
    )


def load_replay(
    settings: Settings, profile: Profile, progress: Progress | None = None
) -> list[RecordedTicks]:
    """What `--replay` names, ticks and bars; errors name file, line and fix."""
    loaded = []
    for item in settings.replay:
        name, separator, rest = item.partition("=")
        path = Path(rest if separator and name in profile.symbols else item)
        try:
            symbol = name if path != Path(item) else symbol_of(path.name, list(profile.symbols))
            report = None if progress is None else _reporting(progress, path.name)
            loaded.append(_recording(path, profile, symbol, report))
        except (TickFileError, OSError) as error:
            raise SettingsError(f"--replay {item}: {error}") from None
    return loaded


def _recording(
    path: Path, profile: Profile, symbol: str, report: Callable[[int], None] | None
) -> RecordedTicks:
    spec = profile.symbols[symbol]
    if not has_bars(path):
        return load_ticks(path, symbol, spec.digits, report)
    terms = BarTerms(
        symbol=symbol,
        digits=spec.digits,
        price=profile.generators[symbol].bid,
        spread=spec.spread,
        to_utc_ms=profile.rules.zone.to_utc_ms,
    )
    return load_bars(path, terms, report)


def _reporting(progress: Progress, name: str) -> Callable[[int], None]:
    return lambda rows: progress(name, rows)


def specs_for(profile: Profile, recorded: list[RecordedTicks]) -> dict[str, SymbolSpec]:
    """The profile's symbols; those replayed keep the digits of their file."""
    specs = dict(profile.symbols)
    for ticks in recorded:
        specs[ticks.symbol] = with_file_digits(specs[ticks.symbol], ticks.digits)
    return specs


def _feed(
    account: Account,
    settings: Settings,
    profile: Profile,
    recorded: list[RecordedTicks],
    state: AccountState,
    clock: Clock,
) -> Feed:
    if recorded:
        first_ms = min(ticks.times_ms[0] for ticks in recorded)
        return ReplayFeed(lambda: merge(recorded), first_ms, settings.speed, clock)
    generator = PriceGenerator(profile.generators.values(), account.seed, clock.wall_ms())
    if state.checkpoint is not None:
        saved = msgspec.msgpack.decode(state.checkpoint, type=SimCheckpoint).feed
        if saved is not None:
            generator.restore(saved)
    return LiveFeed(generator, clock)


def connect_sim(
    account: Account,
    settings: Settings,
    profile: Profile,
    recorded: list[RecordedTicks],
    state: AccountState,
    gate: FeedGate,
    clock: Clock,
) -> SimConnector:
    """The connector of a simulated account, standing where its journal left it."""
    terms = profile.terms(
        currency=account.currency,
        leverage=account.leverage,
        sessions_apply=settings.sessions,
    )
    feed = _feed(account, settings, profile, recorded, state, clock)
    connector = SimConnector(account.id, terms, specs_for(profile, recorded), feed, gate)
    connector.rebuild(state)
    put_faults(settings.fault, connector)
    return connector
