"""Problems and answers of the gateway as frames: the same members as over REST."""

from typing import Any

import msgspec

from fxsocket_server.channels import frames
from fxsocket_server.channels.frames import FrameId
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.views import problem_view

# What a command's answer is called: what REST answers is an order, a position or a result.
_MEMBERS = {"order.place": "order", "order.modify": "order", "position.modify": "position"}
_AN_ORDER = b'{"id":"ord_'


def problem_frame(problem: Problem, frame_id: FrameId, instance: str | None = None) -> bytes:
    """A problem as an error frame; `instance` is the request id of a trade command."""
    members = msgspec.to_builtins(problem_view(problem, instance or ""))
    if instance is None:
        del members["instance"]
    if problem.retry_after_s is not None:
        members["retry_after_s"] = problem.retry_after_s
    return _error(members, frame_id)


def answer_frame(command: str, answer: Answer, frame_id: FrameId) -> bytes:
    """A trade command's answer: what it made, or the problem as the journal has it."""
    if answer.status < 400:
        member = _MEMBERS.get(command, "result")
        if command == "order.cancel" and answer.body.startswith(_AN_ORDER):
            member = "order"  # of a filled order, what is open was closed instead
        return frames.result(frame_id, member, answer.body, answer.replayed)
    return _error(msgspec.json.decode(answer.body), frame_id)


def _error(members: dict[str, Any], frame_id: FrameId) -> bytes:
    # A problem's own `type` is its code as a URN; in a frame `type` says what the frame is.
    return encode({**members, "type": "error", "id": frame_id})
