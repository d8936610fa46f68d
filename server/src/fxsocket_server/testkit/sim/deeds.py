"""What simulated clients want done once: every attempt at it, and every answer."""

from typing import Any

import msgspec
from msgspec import Struct

from fxsocket_server.testkit.http_client import Reply

_SETTLED = {"PLACED", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED", "EXPIRED", "UNKNOWN"}
_ASK_AGAIN = {408, 409, 429}


class Deed(Struct):
    """One thing that a bot wants done once.

    `magics` are the magic numbers of the orders that it places, a number of its own for each.
    """

    bot: str
    account_id: str
    method: str
    path: str
    key: str | None
    body: dict[str, Any] | None
    number: int
    magics: tuple[int, ...] = ()
    attempts: int = 0
    replies: list[Reply] = []
    final: Reply | None = None
    gave_up: bool = False

    @property
    def label(self) -> str:
        """What it is called in a trace."""
        return self.key or f"{self.bot}-{self.number}"

    @property
    def places(self) -> bool:
        """Whether it places one order."""
        return self.path == "/v1/orders"

    @property
    def changes_stops(self) -> bool:
        """Whether it changes a position: until that has an outcome, its answer does not say so."""
        return self.method == "PATCH" and self.path.startswith("/v1/positions/")

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

    def became(self, status: str) -> bool:
        """Whether it placed an order that was answered with a status."""
        return self.places and self.was_done and self.view["status"] == status


def is_final(reply: Reply) -> bool:
    """Whether an answer says what became of the command for good."""
    if reply.status >= 500 or reply.status in _ASK_AGAIN:
        return False
    return reply.status != 200 or all(map(_is_over, _parts(msgspec.json.decode(reply.body))))


def _parts(view: dict[str, Any]) -> list[dict[str, Any]]:
    """What an answer tells of each thing that was asked."""
    if "results" not in view:
        return [view]
    rows = [*view["results"], *view.get("orders", []), view]
    found = [row.get(name) for row in rows for name in ("order", "result", "error")]
    return [part for part in found if part is not None]


def _is_over(view: dict[str, Any]) -> bool:
    if view.get("type", "").startswith("urn:"):  # a leg that was refused, or has not begun
        return view["status"] < 500 and view["status"] not in _ASK_AGAIN
    if _waits_for_cancel(view):
        return False
    if "close_order_id" in view and not view["already"]:
        return bool(view["closed_volume"])  # else it tells how things stand, not what came of it
    return view.get("status") in {*_SETTLED, None, "OPEN", "CLOSED"}


def is_known(reply: Reply) -> bool:
    """Whether an answer tells an outcome, not how things stand: then no other may follow it."""
    if not is_final(reply):
        return False
    return all(map(_is_told, _parts(msgspec.json.decode(reply.body))))


def _is_told(part: dict[str, Any]) -> bool:
    status = part.get("status")
    was_tried = not isinstance(status, int) or status < 500  # a leg that was not may be tried again
    if part.get("already") or part.get("updated") is False or _waits_for_cancel(part):
        return False  # it tells how things stand
    return was_tried and status != "UNKNOWN"


def _waits_for_cancel(part: dict[str, Any]) -> bool:
    return bool(part.get("cancel_requested")) and part["status"] in {"PLACED", "PARTIALLY_FILLED"}


def is_stored(reply: Reply) -> bool:
    """Whether an answer was journalled: a refusal before the journal leaves nothing behind."""
    if reply.status == 200 or "idempotency-replayed" in reply.headers:
        return True
    return bool(msgspec.json.decode(reply.body).get("retcode"))
