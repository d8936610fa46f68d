"""Terminals come, prove themselves, are replaced, fall silent, and go on where they were."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fxsocket_server.core import limits
from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.errors import JournalUnavailable, Problem
from fxsocket_server.fxb import messages
from fxsocket_server.fxb.codec import gateway_decoder, pack, terminal_decoder
from fxsocket_server.gateway.ports import Unreachable
from fxsocket_server.model.enums import Action, OrderType
from fxsocket_server.model.facts import BalanceFact, DealFact, PositionFact, TradeRequest
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.security.connector_tokens import (
    ConnectorToken,
    server_proof,
    terminal_proof,
    token_of,
)

from ..api.world import MONDAY_MS, on_loop
from .rig import LOGIN, SERVER, TOKEN, Booth, Door, Sink

LOT = 10**8


class Both:
    """A door with a sink, and a booth that has dialled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(MONDAY_MS)
        self.sink = Sink()
        self.door = Door(self.clock)
        self.booth = Booth(folder / "terminal", self.clock)

    async def open(self) -> None:
        await self.door.connector.start(self.sink)
        await self.door.start()
        await self.booth.open()
        self.booth.dial(self.door.port)
        await self.connected(1)

    async def connected(self, times: int) -> None:
        """Return once the sink was told so often that the terminal came or went."""
        await self.sink.terminal.count(times)

    def buy(self, number: int = 1, **parts: object) -> TradeRequest:
        return TradeRequest(
            action=Action.DEAL,
            command_id=f"cmd_{number}",
            tag=f"~{number:010} ",
            deadline_ms=self.clock.monotonic_ms() + 5_000,
            symbol="EURUSD",
            type=OrderType.BUY,
            volume=LOT // 10,
            comment=f"~{number:010} ",
            **parts,  # type: ignore[arg-type]
        )

    async def trade(self, number: int = 1) -> None:
        """A buy, and its report."""
        words = len(self.sink.words.seen)
        assert self.door.connector.hand_over(self.buy(number)) is None
        await self.sink.words.count(words + 1)


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[Both]:
    made = Both(folder)
    try:
        await made.open()
        yield made
    finally:
        await made.booth.kill()
        await made.door.stop()


class Guest:
    """A caller that says what it likes, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._decoder = terminal_decoder()
        self._heard: list[messages.ToTerminal] = []

    def say(self, message: messages.ToGateway) -> None:
        self.writer.write(pack(message))

    async def hear(self) -> messages.ToTerminal | None:
        """The next message; None at the end."""
        while not self._heard:  # until the connection ends
            data = await self.reader.read(65_536)
            if not data:
                return None
            self._heard += self._decoder.feed(data)
        return self._heard.pop(0)

    async def greet(
        self, token: ConnectorToken = TOKEN, login: int = LOGIN, server: str = SERVER, q: int = 0
    ) -> messages.ToTerminal | None:
        """Hello and proof; the answer."""
        boot, nonce = "b" * 32, "c" * 32
        self.say(
            messages.Hello(
                v=(1,), key=token.key, login=login, server=server, boot=boot, cn=nonce, q=q
            )
        )
        challenge = await self.hear()
        assert isinstance(challenge, messages.Challenge)
        proof = terminal_proof(token, login, server, (boot, nonce, challenge.sn))
        self.say(messages.Auth(mac=proof))
        answer = await self.hear()
        if isinstance(answer, messages.Ready):
            assert answer.mac == server_proof(token, (nonce, challenge.sn))
        return answer


async def guest(port: int) -> Guest:
    return Guest(*await asyncio.open_connection("127.0.0.1", port))


# --- the door --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "login", "server", "code"),
    [
        (token_of(b"q" * 32, TOKEN.key), LOGIN, SERVER, "auth"),
        (token_of(b"p" * 32, "x" * 16), LOGIN, SERVER, "auth"),
        (TOKEN, LOGIN + 1, SERVER, "policy"),
        (TOKEN, LOGIN, "Other-Server", "policy"),
    ],
    ids=["another secret", "another key", "another login", "another server"],
)
def test_who_cannot_prove_its_token_and_account_is_sent_away(
    token: ConnectorToken, login: int, server: str, code: str
) -> None:
    @on_loop
    async def run() -> None:
        door = Door(ManualClock(MONDAY_MS))
        await door.start()
        caller = await guest(door.port)
        bye = await caller.greet(token, login, server)
        assert isinstance(bye, messages.Bye)
        assert (bye.code, bye.retry_ms) == (code, limits.BRIDGE_RETRY_MS)
        assert await caller.hear() is None
        caller.writer.close()
        await door.stop()

    run()


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (pack(messages.Pong(n=1)), "protocol"),
        (b"\x00\x00\x40\x01", "protocol"),
        (b"GET / HTTP/1.1\r\n\r\n", "protocol"),
        (pack(messages.Hello(v=(2, 3), key="k", login=1, server="S", boot="b", cn="c")), "version"),
        (pack(messages.Hello(v=(1,), key="k", login=1, server="S", boot="b", cn="c")), "protocol"),
    ],
    ids=["no hello", "a long first frame", "another protocol", "a later version", "no nonce"],
)
def test_a_first_frame_that_is_no_hello_ends_the_call(first: bytes, code: str) -> None:
    @on_loop
    async def run() -> None:
        door = Door(ManualClock(MONDAY_MS))
        await door.start()
        caller = await guest(door.port)
        caller.writer.write(first)
        bye = await caller.hear()
        assert isinstance(bye, messages.Bye)
        assert bye.code == code
        assert await caller.hear() is None
        caller.writer.close()
        await door.stop()

    run()


@on_loop
async def test_callers_beyond_the_limit_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BRIDGE_CONNECTIONS", 2)
    door = Door(ManualClock(MONDAY_MS))
    await door.start()
    callers = [await guest(door.port) for _ in range(3)]
    bye = await callers[2].hear()
    assert isinstance(bye, messages.Bye)
    assert bye.code == "busy"
    callers[0].writer.close()
    await door.stop()
    for caller in callers[:2]:
        assert await caller.hear() is None
    for caller in callers:
        caller.writer.close()


@on_loop
async def test_a_server_that_cannot_prove_itself_is_not_obeyed(tmp_path: Path) -> None:
    heard: list[object] = []

    async def pose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = gateway_decoder()
        writer.write(pack(messages.Challenge(v=1, sn="s" * 32, gw_ms=0)))
        ready = messages.Ready(mac="0" * 64, epoch=9, gw_ms=0, hb_ms=5_000, credit=1)
        trade = messages.Req(id=1, op="account.get", ep=9)
        writer.write(pack(ready) + pack(trade))
        while data := await reader.read(65_536):
            heard.extend(decoder.feed(data))
        writer.close()

    poser = await asyncio.start_server(pose, "127.0.0.1", 0)
    booth = Booth(tmp_path / "terminal", ManualClock(MONDAY_MS))
    booth.dial(poser.sockets[0].getsockname()[1])
    await booth.sessions.count(1)
    assert booth.sessions.seen[0] == "the server does not know the token"
    await booth.kill()
    poser.close()
    assert [type(word) for word in heard][:3] == [messages.Hello, messages.Auth, messages.Bye]


# --- sessions --------------------------------------------------------------------------------


@on_loop
async def test_a_terminal_that_comes_is_known_before_it_is_told_of(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        [account] = b.door.opened
        assert (account.currency, account.leverage, account.balance) == ("USD", 100, 1_000_000)
        assert b.sink.terminal.seen == [(True, "")]
        assert b.door.connector.figures().equity == 1_000_000
        quote = b.door.connector.quote("EURUSD")
        assert quote is not None
        assert (quote.bid, quote.ask) == (108_340, 108_350)
        assert set(b.door.connector.specs()) == set(b.booth.connector.specs())


@on_loop
async def test_the_newest_session_wins(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        caller = await guest(b.door.port)
        ready = await caller.greet()
        assert isinstance(ready, messages.Ready)
        await b.booth.sessions.count(2)
        assert str(b.booth.sessions.seen[1]).startswith("superseded")
        assert b.door.connector.hand_over(b.buy()) is None
        words = []
        while not (isinstance(word := await caller.hear(), messages.Req) and word.op == "trade"):
            words.append(word)
        assert word.ep == ready.epoch
        assert b.booth.ledger.command("~0000000001") is None
        caller.writer.close()


@on_loop
async def test_an_account_that_is_another_than_before_is_sent_away(tmp_path: Path) -> None:
    async with both(tmp_path) as b:

        async def refuse(_: messages.TerminalAccount) -> None:
            raise Problem("validation_error", "that is another account")

        b.door.connector._opened = refuse
        await b.booth.hang_up()
        await b.connected(2)
        b.booth.dial(b.door.port)
        await b.booth.sessions.count(3)
        assert b.booth.sessions.seen[-1] == "policy: that is another account"
        assert len(b.sink.terminal.seen) == 2  # it was never there again


@on_loop
async def test_a_terminal_obeys_no_epoch_twice(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        await b.booth.hang_up()
        await b.connected(2)
        again = Door(b.clock)  # a server that has forgotten its epochs
        await again.connector.start(b.sink)
        await again.start()
        b.booth.dial(again.port)
        await b.booth.sessions.count(2)
        assert [seen for seen in b.booth.sessions.seen if isinstance(seen, int)] == [1, 2]
        await b.booth.hang_up()
        await again.stop()


@on_loop
async def test_a_silent_terminal_is_left(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        await b.booth.hang_up()
        await b.connected(2)
        caller = await guest(b.door.port)
        assert isinstance(await caller.greet(), messages.Ready)
        session = b.door.connector._session
        assert session is not None
        for _ in range(limits.BRIDGE_MISSED_BEATS):
            assert not session.over
            session.beat()
        session.beat()
        assert session.over
        caller.writer.close()


@on_loop
async def test_a_terminal_that_answers_is_kept(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        session = b.door.connector._session
        assert session is not None
        for _ in range(3 * limits.BRIDGE_MISSED_BEATS):
            session.beat()
            await b.door.connector.snapshot()  # the answer comes behind the pong
        assert not session.over


@on_loop
async def test_a_broker_that_is_out_of_reach_is_told(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        await b.booth.terminal.on_terminal(False, "the line is cut")
        await b.connected(2)
        assert b.sink.terminal.seen[1] == (False, "its broker is not reachable: the line is cut")
        await b.booth.terminal.on_terminal(True, "")
        await b.connected(3)


@on_loop
async def test_what_is_told_right_behind_the_snapshot_is_not_missed(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        await b.booth.hang_up()
        await b.connected(2)
        caller = await guest(b.door.port)
        ready = await caller.greet()
        assert isinstance(ready, messages.Ready)
        terminal = b.booth.terminal
        while not (isinstance(word := await caller.hear(), messages.Req) and "snap" in word.op):
            assert isinstance(word, messages.Req)
            for answer in terminal.answer(word, expired=False):
                caller.say(answer)
        behind = messages.Ev(q=99, ms=MONDAY_MS, f=(BalanceFact(balance=77, credit=0),))
        answers = [pack(answer) for answer in terminal.answer(word, expired=False)]
        caller.writer.write(b"".join(answers) + pack(behind))  # one read at the other end
        await b.connected(3)
        assert b.door.connector.figures().balance == 77
        caller.writer.close()


# --- while it is away ------------------------------------------------------------------------


@on_loop
async def test_nothing_is_sent_to_a_terminal_that_is_away(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        await b.booth.hang_up()
        await b.connected(2)
        report = b.door.connector.hand_over(b.buy())
        assert report is not None
        assert (report.retcode, report.facts) == (Retcode.CONNECTION, ())
        for ask in (b.door.connector.snapshot(), b.door.connector.lookup("~0000000001 ", 0)):
            with pytest.raises(Unreachable):
                await ask
        for read in (b.door.connector.figures, b.door.connector.specs):
            with pytest.raises(Problem, match="is not connected"):
                read()
        b.booth.dial(b.door.port)
        await b.connected(3)
        assert b.booth.ledger.command("~0000000001 ") is None
        await b.trade(2)


@on_loop
async def test_a_question_ends_when_the_terminal_goes(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        await b.booth.hang_up()
        await b.connected(2)
        caller = await guest(b.door.port)
        await caller.greet()
        asked = asyncio.create_task(b.door.connector.snapshot())
        while not (isinstance(word := await caller.hear(), messages.Req) and "snap" in word.op):
            assert word is not None
        caller.writer.close()
        with pytest.raises(Unreachable, match="went away"):
            await asked


@on_loop
async def test_a_terminal_that_does_not_read_is_sent_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both(tmp_path) as b:
        monkeypatch.setattr(limits, "BRIDGE_UNSENT_BYTES", -1)
        report = b.door.connector.hand_over(b.buy())
        assert report is not None
        assert report.retcode == Retcode.CONNECTION


# --- events ----------------------------------------------------------------------------------


@on_loop
async def test_what_happened_while_the_line_was_cut_is_told_once(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        await b.trade()
        known = list(b.sink.facts)
        await b.booth.hang_up()
        await b.connected(2)
        ticket = b.booth.connector.broker.terminal_snapshot().positions[0].ticket
        await b.booth.terminal.on_report("x", b.booth.connector.broker.request(
            TradeRequest(
                action=Action.SLTP, command_id="x", deadline_ms=0, symbol="EURUSD",
                position_ticket=ticket, sl=108_000,
            ), MONDAY_MS,
        ))  # fmt: skip
        words = len(b.sink.words.seen)
        b.booth.dial(b.door.port)
        await b.sink.words.count(words + 1)
        await b.connected(3)
        fresh = b.sink.facts[len(known) :]
        assert [type(fact) for fact in fresh] == [PositionFact]
        await b.trade(2)
        assert b.sink.deliveries == 1


@on_loop
async def test_a_killed_terminal_goes_on_where_its_ledger_is(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        await b.trade()
        await b.booth.hang_up()
        await b.connected(2)
        now = b.clock.wall_ms()
        facts = b.booth.connector.broker.deposit(5_000, now)
        b.booth.terminal.book(facts, now)  # and killed before a word of it
        await b.booth.kill()
        b.booth = Booth(tmp_path / "terminal", b.clock, seed=9)
        await b.booth.open()
        words = len(b.sink.words.seen)
        b.booth.dial(b.door.port)
        await b.connected(3)
        await b.sink.words.count(words + 1)
        assert facts[0] in b.sink.facts
        assert b.door.connector.figures().balance == 1_005_000
        await b.trade(2)
        tickets = [fact.ticket for fact in b.sink.facts if isinstance(fact, DealFact)]
        assert len(tickets) == len(set(tickets)) == 3


@on_loop
async def test_a_server_that_starts_anew_reads_instead_of_being_told(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        await b.trade()
        await b.booth.hang_up()
        await b.connected(2)
        sink, again = Sink(), Door(b.clock)
        await again.connector.start(sink)
        await again.start()
        b.booth.dial(again.port)
        await sink.terminal.count(1)
        assert sink.words.seen == []
        held = await again.connector.snapshot()
        history = await again.connector.history(0)
        assert [position.ticket for position in held.positions] == [1_000_001]
        assert [deal.ticket for deal in history.deals] == [5_000_001, 5_000_002]
        assert [order.ticket for order in history.orders] == [1_000_001]
        await b.booth.hang_up()
        await again.stop()


@on_loop
async def test_an_event_is_acknowledged_once_it_is_durable(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        b.sink.hold = asyncio.Event()
        words = len(b.sink.words.seen)
        await b.booth.terminal.on_facts((BalanceFact(balance=1, credit=0),), MONDAY_MS)
        await b.sink.words.count(words + 1)
        await b.door.connector.snapshot()  # there and back: an ack would have come before
        assert len(b.booth.ledger.events()) == 1
        b.sink.hold.set()
        await b.door.connector.snapshot()
        await b.door.connector.snapshot()
        assert b.booth.ledger.events() == []


@on_loop
async def test_an_event_that_was_not_durable_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BRIDGE_BACKOFF_MS", (1, 2))
    async with both(tmp_path) as b:
        b.sink.refuse = JournalUnavailable("the disk is full")
        fact = BalanceFact(balance=1, credit=0)
        await b.booth.terminal.on_facts((fact,), MONDAY_MS)
        await b.connected(3)
        await b.sink.words.count(2)
        assert fact in b.sink.facts
        assert str(b.booth.sessions.seen[1]).startswith("resync")


@on_loop
async def test_a_flood_of_events_is_bounded_by_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BRIDGE_UNACKED_EVENTS", 5)
    async with both(tmp_path) as b:
        b.sink.hold = asyncio.Event()
        words = len(b.sink.words.seen)
        for number in range(20):
            await b.booth.terminal.on_facts((BalanceFact(balance=number, credit=0),), MONDAY_MS)
        await b.sink.words.count(words + 5)
        await b.door.connector.snapshot()
        assert len(b.sink.words.seen) == words + 5  # the others wait at the terminal
        b.sink.hold.set()
        await b.sink.words.count(words + 20)
        told = [fact.balance for fact in b.sink.facts if isinstance(fact, BalanceFact)]
        assert told == list(range(20))


@on_loop
async def test_an_event_that_comes_twice_or_is_older_than_the_hello_is_not_booked(
    tmp_path: Path,
) -> None:
    async with both(tmp_path) as b:
        await b.booth.hang_up()
        await b.connected(2)
        caller = await guest(b.door.port)
        ready = await caller.greet(q=5)
        assert isinstance(ready, messages.Ready)
        assert ready.rx is None
        words = len(b.sink.words.seen)
        for q in (5, 6, 6, 4, 7):
            caller.say(messages.Ev(q=q, ms=MONDAY_MS, f=(BalanceFact(balance=q, credit=0),)))
        await b.sink.words.count(words + 2)
        acked = set()
        while 7 not in acked:
            word = await caller.hear()
            assert word is not None
            acked |= {word.q} if isinstance(word, messages.Ack) else set()
        told = [fact.balance for fact in b.sink.facts if isinstance(fact, BalanceFact)]
        assert told == [6, 7]
        caller.writer.close()


# --- ticks -----------------------------------------------------------------------------------


@on_loop
async def test_without_credit_only_the_newest_price_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BRIDGE_TICK_CREDIT", 1)
    async with both(tmp_path) as b:
        words = len(b.sink.words.seen)
        for bid in range(108_341, 108_351):
            await b.booth.connector.set_price("EURUSD", bid, bid + 10)
        await b.sink.words.count(words + 2)
        assert [tick.bid for tick in b.sink.ticks[-2:]] == [108_341, 108_350]
        assert b.booth.terminal.outbox.dropped_ticks == 8


@on_loop
async def test_a_price_is_shown_after_the_facts_before_it_are_durable(tmp_path: Path) -> None:
    async with both(tmp_path) as b:
        b.sink.hold = asyncio.Event()
        words = len(b.sink.words.seen)
        await b.booth.terminal.on_facts((BalanceFact(balance=1, credit=0),), MONDAY_MS)
        await b.booth.connector.set_price("EURUSD", 108_500, 108_510)
        await b.sink.words.count(words + 1)
        await b.door.connector.snapshot()
        await b.door.connector.snapshot()  # there and back, twice: the price is here
        assert b.sink.ticks == []
        b.sink.hold.set()
        await b.sink.words.count(words + 2)
        assert [tick.bid for tick in b.sink.ticks] == [108_500]
