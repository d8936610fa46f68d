"""Bots that trade through kills of server and terminal, and remember what they were told.

A keyed bot repeats a command under its key until it is answered; a keyless one repeats it as it
was, like the brief's own. Each order carries its bot's name for it in the comment, by which the
terminal's ledger tells how often it was executed.
"""

import random
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import requests

HEADERS = {"Authorization": "Bearer test-key", "X-Request-Timeout-Ms": "1000"}
WATCHDOG_S = 60
PAUSE_S = 0.1  # between two tries while something is down

Answer = tuple[int, Any]


class Told(msgspec.Struct):
    """A logical order: what was asked, and every answer to it."""

    name: str
    key: str | None
    body: dict[str, Any]
    answers: list[Answer] = msgspec.field(default_factory=list)


class Field:
    """Where the bots trade; address and patience change with each restart."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rest = ""
        self.sent = 0
        self.stopping = False

    def up(self, rest: str) -> None:
        """A server is there."""
        with self._changed:
            self._rest = rest
            self._changed.notify_all()

    def down(self, rest: str) -> None:
        """The server at this address is gone."""
        with self._changed:
            if self._rest == rest:
                self._rest = ""

    def wait_for_sent(self, count: int) -> None:
        """Return once so many requests were sent in all."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.sent >= count, WATCHDOG_S), "bots hang"

    def address(self) -> str:
        """Where to send the next request; counts it."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._rest, WATCHDOG_S), "no server"
            self.sent += 1
            self._changed.notify_all()
            return self._rest

    def pause(self) -> None:
        """Let a moment pass, or less when something changes."""
        with self._changed:
            self._changed.wait(PAUSE_S)


class Bot(threading.Thread):
    """Trades until it is told to stop: orders, changes, cancels, closes."""

    def __init__(self, name: str, field: Field, rng: random.Random, *, keyed: bool) -> None:
        super().__init__(name=name, daemon=True)
        self._field = field
        self._rng = rng
        self._keyed = keyed
        self.told: list[Told] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Trade; what goes wrong is kept for the test."""
        try:
            while not self._field.stopping:  # until the harness has killed enough
                self._trade()
        except BaseException as error:
            self.failure = error

    def _trade(self) -> None:
        order = self._place(self._rng.random() < 0.3)
        if order is None:
            return
        if order["status"] == "PLACED":
            self._repeat("PATCH", f"/orders/{order['id']}", {"tp": 1.2})
            self._repeat("DELETE", f"/orders/{order['id']}")
        elif order["status"] == "FILLED" and order["position_id"] is not None:
            path = f"/positions/{order['position_id']}"
            if self._rng.random() < 0.5:
                self._repeat("PATCH", path, {"tp": 1.2})
            if self._rng.random() < 0.7:
                self._repeat("DELETE", path)

    def _place(self, resting: bool) -> Any:
        number = len(self.told)
        name = f"{self.name}-{number}"
        body = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01, "comment": name}
        if resting:
            body |= {"type": "BUY_LIMIT", "price": 1.0}
        told = Told(name, name if self._keyed else None, body)
        self.told.append(told)
        answer = self._repeat("POST", "/orders", body, told)
        return answer[1] if answer[0] == 200 else None

    def _repeat(self, method: str, path: str, body: Any = None, told: Told | None = None) -> Answer:
        """Send a command until it has a final answer, as a bot does that retries."""
        key = f"{self.name}-{self._rng.getrandbits(60)}" if told is None else told.key
        headers = dict(HEADERS)
        if key is not None and self._keyed:
            headers["Idempotency-Key"] = key
        while True:  # bounded by the watchdog of `address`
            answer = self._once(method, path, body, headers)
            if answer is None or answer[0] in (409, 429, 503):
                self._field.pause()
                continue
            assert answer[0] in (200, 404, 422), answer
            if told is not None:
                told.answers.append(answer)
            return answer

    def _once(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer | None:
        rest = self._field.address()
        send: Callable[..., requests.Response] = requests.request
        try:
            response = send(method, rest + path, json=body, headers=headers, timeout=WATCHDOG_S)
        except requests.exceptions.RequestException:
            self._field.down(rest)
            return None
        return response.status_code, response.json()
