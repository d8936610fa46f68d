"""Makes simulated accounts: their terms, symbols, broker and feed, from the settings."""

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import msgspec

from fxsocket_server.bootstrap.faults import put_faults
from fxsocket_server.broker.generator import PriceGenerator
from fxsocket_server.broker.profile import Profile, ProfileError, parse_profile, with_file_digits
from fxsocket_server.connectors.sim.connector import SimCheckpoint, SimConnector
from fxsocket_server.connectors.sim.feeds import Feed, LiveFeed, ReplayFeed
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.accounts.make import login_of, simulated_account
from fxsocket_server.gateway.changes import AccountState
from fxsocket_server.gateway.ports import FeedGate
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountKind, Platform
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

_PROFILES = files("fxsocket_server.broker") / "profiles"
_PROFILE_OF = {Platform.MT4: "mt4", Platform.MT5: "standard"}


def load_profile(name: str) -> Profile:
    """A broker profile by its name, or from a TOML file."""
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise SettingsError(f"--profile {name}: no such file")
        return _parsed(path.read_text(), name)
    if name not in bundled_profiles():
        there = ", ".join(bundled_profiles())
        raise SettingsError(f"--profile {name}: no such profile; there are: {there}")
    return _bundled(name)


@lru_cache(maxsize=1)
def bundled_profiles() -> tuple[str, ...]:
    """The names of the profiles in the box."""
    return tuple(sorted(f.name.removesuffix(".toml") for f in _PROFILES.iterdir()
                        if f.name.endswith(".toml")))  # fmt: skip


@lru_cache(maxsize=16)
def _bundled(name: str) -> Profile:
    """A profile in the box; read once, for many accounts share it."""
    return _parsed((_PROFILES / f"{name}.toml").read_text(), f"{name}.toml")


def _parsed(text: str, source: str) -> Profile:
    try:
        return parse_profile(text, source)
    except ProfileError as error:
        raise SettingsError(f"--profile {error}") from None


def new_account(
    settings: Settings, profile: Profile, account_id: str, user_id: str, seed: int, now_ms: int
) -> Account:
    """A simulated account as the settings describe it."""
    return simulated_account(
        profile,
        account_id=account_id,
        user_id=user_id,
        name="Replay" if settings.replay else "Demo",
        profile_name=settings.profile,
        login=login_of(seed),
        seed=seed,
        now_ms=now_ms,
        kind=AccountKind.REPLAY if settings.replay else AccountKind.SIM,
        currency=settings.currency,
        leverage=settings.leverage,
        balance=settings.balance,
    )


class ServerProfiles:
    """The profiles that accounts can be made with over REST: those in the box, the server's own.

    A client names no file: it would be one of the server's.
    """

    def __init__(self, own: str) -> None:
        self._own = own

    def named(self, name: str | None, platform: Platform | None) -> tuple[str, Profile]:
        """A profile with its name; of None the one for a platform. Raises `validation_error`."""
        if name is None:
            return self._of_platform(platform)
        if name != self._own and name not in bundled_profiles():
            choices = ", ".join(dict.fromkeys([self._own, *bundled_profiles()]))
            raise _no_profile(f"there is no profile {name[:64]!r}; there are: {choices}")
        profile = load_profile(name)
        if platform not in (None, profile.rules.platform):
            raise _no_profile(
                f"profile {name!r} is for {profile.rules.platform.value}, not {platform.value}"
            )
        return name, profile

    def _of_platform(self, platform: Platform | None) -> tuple[str, Profile]:
        own = load_profile(self._own)
        if platform in (None, own.rules.platform):
            return self._own, own
        name = _PROFILE_OF[platform]
        return name, load_profile(name)


def _no_profile(detail: str) -> Problem:
    return Problem("validation_error", detail, pointer="/profile")


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
