"""Messages between gateway and stream, cut into pieces anywhere."""

from types import SimpleNamespace
from typing import Any

import pytest

from fxsocket_server.core import limits
from fxsocket_server.core.errors import FieldError, Problem
from fxsocket_server.stream.apart.gate import FarGate
from fxsocket_server.stream.apart.link import Link
from fxsocket_server.stream.apart.messages import (
    Message,
    Passed,
    ReaderCame,
    Refused,
    Stop,
    decode_down,
    decode_up,
    framed,
)


def link_of(received: Any) -> Link:
    return Link(lambda link: None, received, lambda link: None)


def test_messages_come_whole_however_the_bytes_are_cut(rng):
    sent = [Passed(f"acc_{n}", n) if n % 3 else ReaderCame("x" * n) for n in range(300)]
    data = b"".join(framed(message) for message in sent)
    received: list[Message] = []
    link = link_of(lambda body: received.append(decode_up(body)))
    while data:
        size = rng.randrange(1, 400)
        link.data_received(data[:size])
        data = data[size:]
    assert received == sent


def test_a_problem_crosses_whole():
    problem = Problem("validation_error", "no", errors=(FieldError("/a", "fix"),), retry_after_s=3)
    came = decode_down(framed(Refused.of(7, problem))[4:])
    assert isinstance(came, Refused)
    again = came.problem()
    assert (again.kind, again.detail, again.errors, again.retry_after_s) == (
        problem.kind, problem.detail, problem.errors, problem.retry_after_s,
    )  # fmt: skip


@pytest.mark.parametrize("unsent", [limits.STREAM_LINK_BYTES, limits.STREAM_LINK_BYTES + 1])
def test_an_end_that_takes_nothing_is_cut_off(unsent):
    told: list[str] = []
    transport: Any = SimpleNamespace(
        is_closing=lambda: False,
        write=lambda data: None,
        get_write_buffer_size=lambda: unsent,
        abort=lambda: told.append("cut"),
    )
    link = link_of(lambda body: None)
    link.send(Stop())  # not up yet: goes nowhere
    link.connection_made(transport)
    link.send(Stop())
    assert told == (["cut"] if unsent > limits.STREAM_LINK_BYTES else [])


def test_a_feed_waits_for_its_last_tick_to_be_passed_while_the_stream_is_there():
    sent: list[Message] = []
    gate = FarGate(sent.append)
    assert gate.sent("acc_1", 1) is None, "no feed asks the gate: nothing waits"
    assert not gate.held("acc_1", lossless=False)
    assert gate.sent("acc_1", 2) is False
    assert not gate.held("acc_1", lossless=False), "nobody is there"
    gate.opened()
    gate.sent("acc_1", 3)
    assert gate.held("acc_1", lossless=False)
    gate.passed("acc_1", 2)
    assert gate.held("acc_1", lossless=False)
    gate.passed("acc_1", 3)
    assert not gate.held("acc_1", lossless=False)
    gate.sent("acc_1", 4)
    gate.lost()
    assert not gate.held("acc_1", lossless=False)
    gate.shut()
    assert gate.held("acc_1", lossless=False)
