"""Simulated bots: they trade, and what they do not hear of they send again."""

import asyncio

from msgspec.structs import replace

from fxsocket_server.testkit.http_client import Reply
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.deeds import Deed, is_final
from fxsocket_server.testkit.sim.plan import BotPlan
from fxsocket_server.testkit.sim.trace import Trace
from fxsocket_server.testkit.sim.ways import Way
from fxsocket_server.testkit.sim.wishes import Wishes

_ATTEMPTS = 16  # by then all is well again, and what has no outcome is honestly unknown
_TRIES = 3  # after healing only a connection from before may still fail


class Bot:
    """A client program; `deeds` is all that it ever wanted."""

    def __init__(self, plan: BotPlan, chance: Chance, trace: Trace, way: Way) -> None:
        self.name = f"bot{plan.number}"
        self._chance = chance
        self._trace = trace
        self._way = way
        self._wishes = Wishes(self.name, plan.account_id, plan.number, chance)

    @property
    def deeds(self) -> list[Deed]:
        """All that it ever wanted."""
        return self._wishes.deeds

    async def trade(self, count: int, pause_s: float) -> None:
        """Do `count` deeds, one after the other."""
        for _ in range(count):
            await asyncio.sleep(self._chance.between(0, 2 * pause_s))
            await self._carry_out(self._next_deed())

    def _next_deed(self) -> Deed:
        return self._wishes.next()

    # --- how it gets it ----------------------------------------------------------------------

    async def _carry_out(self, deed: Deed) -> None:
        """Send it again until it is settled; a key makes that safe."""
        pause_s = 0.05
        while deed.final is None and deed.attempts < _ATTEMPTS:
            reply = await self._attempt(deed, self._chance.choice((1.0, 3.0, 10.0)))
            if reply is not None and is_final(reply):
                deed.final = reply
                return
            await asyncio.sleep(pause_s * (1 + self._chance.fraction()))
            pause_s = min(2.0, pause_s * 2)
        deed.gave_up = deed.final is None

    def would_ask_again(self) -> bool:
        """Whether this bot wants to hear an answer once more."""
        return self._chance.happens(0.3)

    async def ask_again(self, deed: Deed) -> Reply | None:
        """Repeat a settled command: its key must give the same answer."""
        for _ in range(_TRIES):
            reply = await self._attempt(deed, 10)
            if reply is not None:
                return reply
        return None

    async def _attempt(self, deed: Deed, timeout_s: float) -> Reply | None:
        deed.attempts += 1
        self._trace.note(f"{self.name} {deed.method} {deed.path} {deed.label} #{deed.attempts}")
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._way.send(deed)
        except (ConnectionError, TimeoutError) as error:
            self._way.hang_up()
            self._trace.note(f"{self.name} {deed.label} {type(error).__name__}")
            self._trace.mark(f"client.{type(error).__name__}")
            return None
        deed.replies.append(reply)
        replayed = reply.headers.get("idempotency-replayed", "-")
        self._trace.note(f"{self.name} {deed.label} {reply.status} {replayed} {reply.body!r}")
        self._trace.mark(f"client.replayed_{replayed}" if replayed != "-" else "client.answered")
        return reply


class PlainBot(Bot):
    """A client without keys: it gives an order up after some tries, as many a script does."""

    def _next_deed(self) -> Deed:
        """Now and then the same again: two equal orders that are both wanted."""
        last = self.deeds[-1] if self.deeds else None
        if last is not None and last.places and self._chance.happens(0.15):
            again = replace(last, attempts=0, replies=[], final=None, gave_up=False)
            return self._wishes.keep(again)
        deed = self._wishes.next()
        deed.key = None
        return deed

    def would_ask_again(self) -> bool:
        """Never: without a key that would be another command."""
        return False

    async def _carry_out(self, deed: Deed) -> None:
        """Send it, and again after a timeout, a lost connection or a 5xx; then give up."""
        for attempt in range(1, _TRIES + 1):
            reply = await self._attempt(deed, self._chance.choice((0.02, 0.3, 3.0, 10.0)))
            self._way.part()
            if reply is not None and reply.status < 500:
                deed.final = reply
                return
            await asyncio.sleep(2**attempt)
        deed.gave_up = True
        self._trace.mark("client.gave_up")
