"""FXB/1: the vectors of the contract, every message there and back, and no other error ever."""

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxsocket_server.bootstrap.accounts import load_profile
from fxsocket_server.core import limits
from fxsocket_server.fxb import codec, messages
from fxsocket_server.fxb.bounds import check
from fxsocket_server.fxb.codec import gateway_decoder, pack, terminal_decoder, unpack
from fxsocket_server.fxb.frames import FrameError, FrameReader, framed
from fxsocket_server.model.enums import Action, OrderType
from fxsocket_server.model.facts import (
    BalanceFact,
    DealFact,
    OrderFact,
    PositionFact,
    Quote,
    Report,
    TradeRequest,
)
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.security.connector_tokens import parse_token, server_proof, terminal_proof

VECTORS = Path(__file__).parents[3] / "spec" / "vectors" / "bridge"
HANDSHAKE: dict[str, Any] = json.loads((VECTORS / "handshake.json").read_text())
FRAMES = HANDSHAKE["frames"] + json.loads((VECTORS / "messages.json").read_text())["frames"]
REFUSED = json.loads((VECTORS / "refused.json").read_text())["frames"]


def decoder_of(frame: dict[str, Any]) -> codec.Decoder[Any]:
    return gateway_decoder() if frame["to"] == "server" else terminal_decoder()


# --- vectors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["name"])
def test_a_vector_reads_and_writes_byte_for_byte(frame: dict[str, Any]) -> None:
    data = bytes.fromhex(frame["hex"])
    assert data[4:].decode() == frame["json"]
    decoder = decoder_of(frame)
    [message] = decoder.feed(data)
    assert decoder.unknown == 0
    assert pack(message) == data


def test_the_vectors_hold_every_kind_of_message() -> None:
    kinds = {json.loads(frame["json"])["t"] for frame in FRAMES}
    assert kinds == codec._TO_GATEWAY | codec._TO_TERMINAL


@pytest.mark.parametrize("frame", REFUSED, ids=lambda frame: frame["name"])
def test_a_refused_vector_is_refused_or_passed_over(frame: dict[str, Any]) -> None:
    decoder = decoder_of(frame)
    if frame["error"] is None:
        assert decoder.feed(bytes.fromhex(frame["hex"])) == []
        assert decoder.unknown == 1
        return
    with pytest.raises(FrameError) as refused:
        decoder.feed(bytes.fromhex(frame["hex"]))
    assert frame["error"] in str(refused.value)


def test_the_proofs_are_those_of_the_vectors() -> None:
    token = parse_token(HANDSHAKE["token"])
    assert (token.key, token.secret.decode()) == (HANDSHAKE["key"], HANDSHAKE["secret"])
    nonces = HANDSHAKE["terminal_nonce"], HANDSHAKE["server_nonce"]
    proof = terminal_proof(
        token, HANDSHAKE["login"], HANDSHAKE["server"], (HANDSHAKE["boot"], *nonces)
    )
    assert proof == HANDSHAKE["terminal_proof"]
    assert server_proof(token, nonces) == HANDSHAKE["server_proof"]


# --- frames ----------------------------------------------------------------------------------


def test_frames_come_out_whole_however_the_bytes_arrive(rng: random.Random) -> None:
    bodies = [rng.randbytes(rng.randint(1, 300)) for _ in range(200)]
    data = b"".join(map(framed, bodies))
    reader, read = FrameReader(300), list[bytes]()
    while data:
        size = rng.randint(1, 500)
        read += reader.feed(data[:size])
        data = data[size:]
    assert read == bodies


def test_a_length_that_lies_is_refused_before_its_bytes_come() -> None:
    reader = FrameReader(limits.BRIDGE_FRAME_BYTES)
    with pytest.raises(FrameError, match="1 to 1048576"):
        reader.feed(b"\x7f\xff\xff\xff")


# --- there and back --------------------------------------------------------------------------

TICKET = st.integers(0, 2**63 - 1)
PRICE = st.integers(-(10**15), 10**15)


def facts_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Facts of a kind whose numbers lie in every field's bounds."""
    small = st.builds(
        kind,
        **{
            field.name: st.integers(0, 8)
            for field in msgspec.structs.fields(kind)
            if field.type is int
        },
        **{
            field.name: st.text(max_size=32)
            for field in msgspec.structs.fields(kind)
            if field.type is str
        },
    )
    return small.filter(in_bounds)


def in_bounds(fact: msgspec.Struct) -> bool:
    try:
        check(fact)
    except FrameError:
        return False
    return True


FACTS = st.one_of(*(facts_of(kind) for kind in (OrderFact, DealFact, PositionFact, BalanceFact)))


@given(st.lists(FACTS, max_size=5), st.integers(0, 2**62), st.integers(0, limits.TIME_MS_MAX))
def test_facts_come_back_as_they_were(facts: list[Any], q: int, time_ms: int) -> None:
    event = messages.Ev(q=q, ms=time_ms, f=tuple(facts))
    assert gateway_decoder().feed(pack(event)) == [event]
    report = Report(retcode=10009, facts=tuple(facts), time_ms=time_ms)
    result = messages.Res(id=1, ep=1, tag="~0123456789 ", r=codec.raw(report), q=q)
    [back] = gateway_decoder().feed(pack(result))
    assert isinstance(back, messages.Res)
    assert unpack(back.r, Report) == report


@given(
    st.builds(
        TradeRequest,
        command_id=st.just("~0123456789 "),
        tag=st.just("~0123456789 "),
        deadline_ms=st.integers(0, 2**40).map(float),
        volume=st.integers(0, 10**18),
        price=st.none() | PRICE,
        stop_limit=st.none() | PRICE,
        sl=st.none() | PRICE,
        tp=st.none() | PRICE,
        deviation=st.none() | st.integers(0, 10**6),
        expires_ms=st.none() | st.integers(0, limits.TIME_MS_MAX),
        magic=st.integers(-(2**63), 2**63 - 1),
        comment=st.text(max_size=31),
        symbol=st.text(max_size=32),
        order_ticket=st.none() | TICKET,
        position_ticket=st.none() | TICKET,
        position_by=st.none() | TICKET,
    )
)
def test_a_trade_request_comes_back_as_it_was(request: TradeRequest) -> None:
    sent = messages.Req(
        id=1, op="trade", ep=1, a=codec.trade_arguments(request), exp=int(request.deadline_ms)
    )
    [back] = terminal_decoder().feed(pack(sent))
    assert isinstance(back, messages.Req)
    assert codec.trade_request(back.a, back.exp) == request


@pytest.mark.parametrize("name", ["standard", "netting", "exchange", "mt4"])
def test_symbols_come_back_as_they_were(name: str) -> None:
    specs = tuple(load_profile(name).symbols.values())
    quotes = (Quote("EURUSD", 1, 108_340, 108_350),)
    listed = messages.SymbolList(specs, quotes)
    assert unpack(codec.raw(listed), messages.SymbolList) == listed


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"tick_size": 0}, "tick_size"),
        ({"contract_size": 0}, "contract_size"),
        ({"volume_step": 0}, "volume_step"),
        ({"digits": 11}, "digits"),
        ({"margin_rates": (1, 2)}, "margin_rates"),
        ({"swap_multipliers": (1,)}, "swap_multipliers"),
        ({"description": "x" * 257}, "description"),
    ],
)
def test_a_symbol_that_cannot_be_is_refused(change: dict[str, Any], error: str) -> None:
    spec = msgspec.structs.replace(load_profile("standard").symbols["EURUSD"], **change)
    with pytest.raises(FrameError, match=error):
        unpack(codec.raw(messages.SymbolList((spec,))), messages.SymbolList)


def test_a_trade_request_out_of_bounds_is_refused() -> None:
    request = TradeRequest(
        action=Action.DEAL, command_id="", tag="~0123456789 ", deadline_ms=0,
        type=OrderType.BUY, volume=10**18 + 1,
    )  # fmt: skip
    with pytest.raises(FrameError, match="volume"):
        codec.trade_request(codec.trade_arguments(request), 1)


# --- any bytes at all ------------------------------------------------------------------------


def survives(data: bytes) -> None:
    """Both decoders give messages or a FrameError; so does what a message holds."""
    for decoder in (gateway_decoder(), terminal_decoder()):
        try:
            for message in decoder.feed(data):
                unpack_all(message)
        except FrameError:
            continue


def unpack_all(message: Any) -> None:
    if isinstance(message, messages.Res | messages.Req):
        value = message.r if isinstance(message, messages.Res) else message.a
        for kind in (Report, SymbolSpec, messages.TerminalAccount, messages.SymbolList):
            try:
                unpack(value, kind)
            except FrameError:
                continue
        codec.trade_request(value, 1)


@given(st.binary(max_size=400))
def test_any_bytes_give_messages_or_a_frame_error(data: bytes) -> None:
    survives(data)
    survives(framed(data or b"x"))


@pytest.mark.parametrize(
    "body",
    [
        b'{"t":"pong","n":1,"x":' + b"[" * 100_000,
        b'{"t":"res","id":1,"ep":1,"r":' + b'{"a":' * 50_000,
        b'{"t":"pong","n":' + b"9" * 100_000 + b"}",
        b'{"t":"pong","n":1e999999999}',
        b'{"t":"pong","n":NaN}',
        b'{"t":"bye","code":"\\ud800"}',
        b'{"t":"ev","q":1,"ms":1,"f":[{"fact":"nothing"}]}',
        b'{"t":"tk","s":"EURUSD","v":[[1,2]]}',
        b'{"t":"hello","v":[1],"key":1}',
        b'{"t":null}',
        b"{}",
        b"null",
    ],
)
def test_a_hostile_body_gives_a_frame_error(body: bytes) -> None:
    with pytest.raises(FrameError):
        gateway_decoder().feed(framed(body))


def test_mutated_frames_give_messages_or_a_frame_error(rng: random.Random) -> None:
    mutate_frames(rng, 3_000)


@pytest.mark.soak
def test_many_mutated_frames_give_messages_or_a_frame_error(rng: random.Random) -> None:
    mutate_frames(rng, 200_000)


def mutate_frames(rng: random.Random, count: int) -> None:
    originals = [bytes.fromhex(frame["hex"])[4:] for frame in FRAMES]
    for _ in range(count):
        body = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(body))
            what = rng.randrange(4)
            if what == 0:
                body[at] = rng.randrange(256)
            elif what == 1:
                del body[at : at + rng.randint(1, 20)]
            elif what == 2:
                body[at:at] = rng.choice((b"[", b"{", b'"', b"9" * 30, b"-", b"null", b"1e9"))
            else:
                body[at:at] = rng.choice(originals)[: rng.randint(1, 40)]
            body = body or bytearray(b"x")
        survives(framed(bytes(body)))
