"""Problems and answers of the gateway as frames: the same members as over REST."""

from typing import Any

import msgspec

from fxsocket_server.channels import frames
from fxsocket_server.channels.frames import FrameId
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.views import problem_view


def problem_frame(problem: Problem, frame_id: FrameId, instance: str | None = None) -> bytes:
    """A problem as an error frame; `instance` is the request id of a trade command."""
    members = msgspec.to_builtins(problem_view(problem, instance or ""))
    if instance is None:
        del members["instance"]
    if problem.retry_after_s is not None:
        members["retry_after_s"] = problem.retry_after_s
    return _error(members, frame_id)


def answer_frame(answer: Answer, frame_id: FrameId) -> bytes:
    """A trade command's answer: the order, or the problem as the journal has it."""
    if answer.status < 400:
        return frames.order_result(frame_id, answer.body, answer.replayed)
    return _error(msgspec.json.decode(answer.body), frame_id)


def _error(members: dict[str, Any], frame_id: FrameId) -> bytes:
    # A problem's own `type` is its code as a URN; in a frame `type` says what the frame is.
    return encode({**members, "type": "error", "id": frame_id})
