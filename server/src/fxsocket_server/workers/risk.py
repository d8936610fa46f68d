"""Watches each account's equity for its risk rules, and puts changed rules in force."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock
from fxsocket_server.gateway.flatten import Flattening
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.risk.guard import RuleBook
from fxsocket_server.gateway.risk.rules import RuleError, rules_of
from fxsocket_server.model.enums import AccountKind

RuleTexts = dict[tuple[str, str], dict[str, str]]  # by ("account" or "key", id)
Log = Callable[..., None]


class Bus(Protocol):
    """Where the ticks of a replay come from."""

    def subscribe(self, topic: str, handler: Callable[[object], None]) -> Callable[[], None]:
        """Call `handler` for each message."""
        ...


def put_in_force(book: RuleBook, texts: RuleTexts) -> None:
    """Read stored rules into the book; raises RuleError when one cannot be read."""
    read = {whose: rules_of(rules) for whose, rules in texts.items()}
    book.replace(
        {subject: rules for (kind, subject), rules in read.items() if kind == "account"},
        {subject: rules for (kind, subject), rules in read.items() if kind == "key"},
    )


class RiskWatch:
    """Looks at every account once in a while, and at a replay with each of its ticks."""

    def __init__(self, lanes: Callable[[], Iterable[Lane]], bus: Bus, clock: Clock) -> None:
        self._lanes = lanes
        self._bus = bus
        self._clock = clock
        self._watched: set[str] = set()
        self._flattening: dict[str, tuple[Flattening, float]] = {}  # and not again before

    async def look(self) -> None:
        """Take note of each account's equity; flatten those that broke a rule which says so."""
        for lane in list(self._lanes()):
            self._watch(lane)
            if not lane.terminal.connected:
                continue
            broken = lane.risk.look()
            if broken is not None and lane.risk.rules.on_loss == "flatten":
                await self._flatten(lane, broken)
            lane.risk.save()

    def _watch(self, lane: Lane) -> None:
        """A replay's days pass as fast as its ticks."""
        account = lane.account
        if account.kind is AccountKind.REPLAY and account.id not in self._watched:
            self._watched.add(account.id)
            self._bus.subscribe("ticks." + account.id, lane.risk.on_tick)

    async def _flatten(self, lane: Lane, broken: str) -> None:
        """Close everything for a loss, once; what the broker refused is tried again later."""
        state = lane.risk.state
        episode = f"{broken.partition(':')[0]} {state.day}"
        if state.halted is not None or state.flattened == episode:
            return
        flattening, not_before = self._flattening.get(lane.account.id, (None, 0.0))
        if flattening is None or flattening.episode != episode:
            lane.alarm("a rule of losses closes everything", account_id=lane.account.id, why=broken)
            flattening = Flattening(lane, episode)
        elif self._clock.monotonic_ms() < not_before:
            return
        if await flattening.run():
            again = self._clock.monotonic_ms() + limits.RISK_FLATTEN_RETRY_MS
            self._flattening[lane.account.id] = (flattening, again)
            return
        self._flattening.pop(lane.account.id, None)
        state.flattened = episode
        if broken.startswith("max_drawdown"):  # no new day ends it, so somebody has to
            await lane.risk.halt(broken)


async def keep_risk(watch: RiskWatch, reload: Callable[[], Awaitable[None]], log: Log) -> None:
    """Look until cancelled."""
    while True:  # until cancelled at shutdown
        try:
            await reload()
            await watch.look()
        # tidy: broad-except because one failed look must not end the watch over all accounts
        except Exception as error:
            log("the watch over risk rules failed", exc_info=error)
        await asyncio.sleep(limits.RISK_LOOK_MS / 1000)


class Rules:
    """The stored rules, read again when they have changed."""

    def __init__(self, book: RuleBook, stored: Callable[[], RuleTexts], log: Log) -> None:
        self._book = book
        self._stored = stored
        self._log = log
        self._texts: RuleTexts | None = None

    async def reload(self) -> None:
        """Put what is stored in force; rules that cannot be read leave the last ones there."""
        self.put(await asyncio.to_thread(self._stored))

    def put(self, texts: RuleTexts) -> None:
        """Put these in force, unless they are already."""
        if texts == self._texts:
            return
        self._texts = texts
        try:
            put_in_force(self._book, texts)
        except RuleError as error:
            self._log("stored risk rules cannot be read; the last ones stay in force", why=error)
