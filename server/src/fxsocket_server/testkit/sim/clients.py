"""Simulated bots: they trade over HTTP, and what they do not hear of they send again."""

import asyncio
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.testkit.http_client import HttpConnection, Reply
from fxsocket_server.testkit.loop import SimLoop
from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.parts import HOST, PORT, SECRET, SYMBOLS
from fxsocket_server.testkit.sim.trace import Trace

_SETTLED = {"PLACED", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED", "EXPIRED", "UNKNOWN"}
_ATTEMPTS = 16  # by then all is well again, and what has no outcome is honestly unknown
_TRIES = 3  # after healing only a connection from before may still fail
_ASK_AGAIN = {408, 409, 429}


class Deed(Struct):
    """One thing that a bot wants done once: every attempt at it and every answer."""

    bot: str
    account_id: str
    method: str
    path: str
    key: str | None
    body: dict[str, Any] | None
    magic: int
    attempts: int = 0
    replies: list[Reply] = []
    final: Reply | None = None
    gave_up: bool = False

    @property
    def label(self) -> str:
        """What it is called in a trace."""
        return self.key or f"{self.bot}-{self.magic}"

    @property
    def was_done(self) -> bool:
        """Whether it was answered with success."""
        return self.final is not None and self.final.status == 200

    @property
    def view(self) -> dict[str, Any]:
        """The final answer's body."""
        assert self.final is not None
        view: dict[str, Any] = msgspec.json.decode(self.final.body)
        return view


def is_final(reply: Reply) -> bool:
    """Whether an answer says what became of the command for good."""
    if reply.status >= 500 or reply.status in _ASK_AGAIN:
        return False
    if reply.status != 200:
        return True
    view = msgspec.json.decode(reply.body)
    if "close_order_id" in view and not view["already"]:
        return bool(view["closed_volume"])  # else it tells how things stand, not what came of it
    return view.get("status") in {*_SETTLED, None, "OPEN", "CLOSED"}


def is_known(reply: Reply) -> bool:
    """Whether an answer tells an outcome, not how things stand: then no other may follow it."""
    if not is_final(reply):
        return False
    view = msgspec.json.decode(reply.body)
    return view.get("status") != "UNKNOWN" and view.get("updated") is not False


def is_stored(reply: Reply) -> bool:
    """Whether an answer was journalled: a refusal before the journal leaves nothing behind."""
    if reply.status == 200 or "idempotency-replayed" in reply.headers:
        return True
    return bool(msgspec.json.decode(reply.body).get("retcode"))


class Bot:
    """A client program; `deeds` is all that it ever wanted."""

    def __init__(
        self, name: str, account_id: str, number: int, loop: SimLoop, chance: Chance, trace: Trace
    ) -> None:
        self.name = name
        self.deeds: list[Deed] = []
        self._account_id = account_id
        self._magic = 1_000_000 * (number + 1)
        self._loop = loop
        self._chance = chance
        self._trace = trace
        self._connection: HttpConnection | None = None

    async def trade(self, count: int, pause_s: float) -> None:
        """Do `count` deeds, one after the other."""
        for _ in range(count):
            await asyncio.sleep(self._chance.between(0, 2 * pause_s))
            await self._carry_out(self._next_deed())

    # --- what it wants -----------------------------------------------------------------------

    def _next_deed(self) -> Deed:
        filled = [d for d in self.deeds if _has(d, "FILLED") and d.path == "/v1/orders"]
        placed = [d for d in self.deeds if _has(d, "PLACED")]
        draw = self._chance.below(10)
        if draw < 3 and filled:
            position_id = self._chance.choice(filled).view["position_id"]
            part = self._chance.choice(("", "", "?volume=0.01"))
            return self._deed("DELETE", f"/v1/positions/{position_id}{part}")
        if draw in {3, 4} and placed:
            order = self._chance.choice(placed).view
            path = f"/v1/orders/{order['id']}"
            if draw == 3:
                return self._deed("DELETE", path)
            return self._deed("PATCH", path, {"sl": round(order["requested_price"] * 0.97, 3)})
        return self._place()

    def _place(self) -> Deed:
        symbol = self._chance.choice(SYMBOLS)
        type_ = self._chance.choice(("BUY", "SELL", "BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT"))
        body: dict[str, Any] = {"symbol": symbol, "type": type_}
        body["volume"] = (1 + self._chance.below(20)) / 100
        if "LIMIT" in type_:
            below = "BUY" in type_
            body["price"] = {"EURUSD": 1.05, "USDJPY": 140.0}[symbol] if below else 200.0
        return self._deed("POST", "/v1/orders", body)

    def _deed(self, method: str, path: str, body: dict[str, Any] | None = None) -> Deed:
        self._magic += 1
        if path == "/v1/orders" and body is not None:
            body["magic"] = self._magic
        deed = Deed(
            self.name, self._account_id, method, path, self._key(), body, self._magic, replies=[]
        )
        self.deeds.append(deed)
        return deed

    def _key(self) -> str | None:
        return f"{self.name}-{self._magic}"

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
                reply = await self._send(deed)
        except (ConnectionError, TimeoutError) as error:
            self._hang_up()
            self._trace.note(f"{self.name} {deed.label} {type(error).__name__}")
            self._trace.mark(f"client.{type(error).__name__}")
            return None
        deed.replies.append(reply)
        replayed = reply.headers.get("idempotency-replayed", "-")
        self._trace.note(f"{self.name} {deed.label} {reply.status} {replayed} {reply.body!r}")
        self._trace.mark(f"client.replayed_{replayed}" if replayed != "-" else "client.answered")
        return reply

    async def _send(self, deed: Deed) -> Reply:
        if self._connection is None or not self._connection.is_open:
            _, connection = await self._loop.create_connection(HttpConnection, HOST, PORT)
            assert isinstance(connection, HttpConnection)
            self._connection = connection
        headers = {
            "authorization": f"Bearer {SECRET}",
            "x-account-id": deed.account_id,
        }
        if deed.key is not None:
            headers["idempotency-key"] = deed.key
        if deed.body is not None:
            headers["content-type"] = "application/json"
        body = b"" if deed.body is None else msgspec.json.encode(deed.body)
        return await self._connection.request(deed.method, deed.path, headers, body)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class PlainBot(Bot):
    """A client without keys: it gives an order up after some tries, as many a script does."""

    def _place(self) -> Deed:
        """Now and then the same again: two equal orders that are both wanted."""
        last = self.deeds[-1] if self.deeds else None
        if last is not None and last.path == "/v1/orders" and self._chance.happens(0.2):
            again = replace(last, attempts=0, replies=[], final=None, gave_up=False)
            self.deeds.append(again)
            return again
        return super()._place()

    def _key(self) -> str | None:
        return None

    def would_ask_again(self) -> bool:
        """Never: without a key that would be another command."""
        return False

    async def _carry_out(self, deed: Deed) -> None:
        """Send it, and again after a timeout, a lost connection or a 5xx; then give up."""
        for attempt in range(1, _TRIES + 1):
            reply = await self._attempt(deed, self._chance.choice((0.02, 0.3, 3.0, 10.0)))
            self._hang_up()
            if reply is not None and reply.status < 500:
                deed.final = reply
                return
            await asyncio.sleep(2**attempt)
        deed.gave_up = True
        self._trace.mark("client.gave_up")


def _has(deed: Deed, status: str) -> bool:
    if deed.final is None or deed.final.status != 200:
        return False
    return deed.path == "/v1/orders" and deed.view["status"] == status
