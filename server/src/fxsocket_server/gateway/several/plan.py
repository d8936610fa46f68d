"""What a command of several legs consists of, and what its legs are answered."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.commands import Answer
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.requests import OrderRequest
from fxsocket_server.gateway.views import problem_view


class Leg(Struct, frozen=True, gc=False):
    """One command of a plan; an order to be placed comes along whole.

    `turns_id` is the netted position that the order is to turn round.
    """

    kind: str
    subject_id: str
    order: OrderRequest | None = None
    turns_id: str | None = None


class Plan(Struct, frozen=True, gc=False):
    """The legs of a command, in order; `in_turn` ones wait for the success of the one before."""

    legs: tuple[Leg, ...]
    in_turn: bool = False


class Composite(Struct, frozen=True):
    """A kind of command of several legs.

    `plan` looks at the book and raises Problem to refuse; `shape` makes the answer from those of
    the legs, None for legs that have not begun.
    """

    plan: Callable[[Lane, str], Plan]
    shape: Callable[[Lane, Plan, Sequence[Answer | None]], Answer]


class CloseStanding(Struct):
    """What a leg's close result says of how far it went; an order says nothing of it."""

    closed_volume: float = 0.0
    remaining_volume: float = 0.0
    already: bool = False


def close_standing(answer: Answer) -> CloseStanding:
    """How far the closing of a leg went."""
    return msgspec.json.decode(answer.body, type=CloseStanding)


def problem_answer(problem: Problem, instance: str = "") -> Answer:
    """A problem as the answer of a leg."""
    return Answer(problem.kind.status, encode(problem_view(problem, instance)))


NOT_BEGUN = problem_answer(
    Problem("idempotency_in_flight", "this has not begun yet; send the same command again")
)
