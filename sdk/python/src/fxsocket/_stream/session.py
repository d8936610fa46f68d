"""What a stream must remember over reconnects, decided without a socket.

Which subscriptions are wanted, and up to where each account's log was seen. A new connection first
resumes the logs, so that the server sends what was missed; what it cannot send becomes a Gap.
"""

import contextlib
from collections.abc import Iterable
from itertools import count
from typing import Any, NamedTuple

import msgspec

from fxsocket.errors import ConfigError
from fxsocket.events import Gap, Logged, StreamEvent, Unknown

# Channels whose events stand in the account's log; all others only tell the latest value.
_LOGGED = frozenset({"deals", "positions", "terminal"})


class _Wanted(NamedTuple):
    channel: str
    account_id: str | None
    pace: bool
    rate: float | None


class _Head(msgspec.Struct):
    account_id: str
    epoch: str
    head: int


class _Place(NamedTuple):
    account_id: str
    seq: int
    prev_seq: int | None
    epoch: str | None


class Session:
    """The memory of one stream; the server itself remembers no subscription."""

    def __init__(self, account_id: str | None) -> None:
        self._account_id = account_id
        self._wanted: dict[_Wanted, dict[str, None]] = {}
        self._seen: dict[str, _Place] = {}
        self._heads: dict[str, _Place] = {}
        self._list_id = ""
        self._ids = count(1)

    def next_id(self) -> str:
        """An id for one frame, new within this stream."""
        return str(next(self._ids))

    def subscribe(
        self,
        symbols: Iterable[str],
        channels: Iterable[str],
        pace: bool,
        account_id: str | None,
        rate: float | None = None,
    ) -> dict[str, Any]:
        """Note a subscription; gives the frame that asks for it."""
        names, kinds = _names("symbols", symbols), _names("channels", channels)
        account = account_id or self._account_id
        for channel in kinds:
            wanted = self._wanted.setdefault(_Wanted(channel, account, pace, rate), {})
            wanted.update(dict.fromkeys(names))
        return self._frame("subscribe", names, kinds, account) | _how(pace, rate)

    def unsubscribe(
        self, symbols: Iterable[str], channels: Iterable[str], account_id: str | None
    ) -> dict[str, Any]:
        """Forget a subscription; gives the frame that ends it."""
        names, kinds = _names("symbols", symbols), _names("channels", channels)
        account = account_id or self._account_id
        for wanted in [w for w in self._wanted if w.channel in kinds and w.account_id == account]:
            self._forget(wanted, names)
        return self._frame("unsubscribe", names, kinds, account)

    def greeting(self) -> list[dict[str, Any]]:
        """The frames that bring a new connection to where the last one was.

        The first thing that is asked is where the logs stand: a connection that breaks before the
        first event of an account is resumed from there.
        """
        self._list_id = self.next_id()
        asking = {"action": "list", "id": self._list_id}
        places = self._heads | self._seen
        return (
            [self._resume(place) for place in places.values()]
            + [asking]
            + [
                self._frame("subscribe", list(symbols), [wanted.channel], wanted.account_id)
                | _how(wanted.pace, wanted.rate)
                for wanted, symbols in self._wanted.items()
            ]
        )

    def admit(self, event: StreamEvent) -> tuple[StreamEvent, ...]:
        """What the consumer gets of an arriving event: nothing, it, or a Gap and it."""
        if isinstance(event, Unknown) and event.type in ("resumed", "reset"):
            return self._resumed(event)
        if isinstance(event, Unknown) and event.type == "list" and _id(event) == self._list_id:
            self._note_heads(event.raw.get("accounts"))
            return ()
        place = _place(event)
        if place is None:
            return (event,)
        seen = self._seen.get(place.account_id)
        if seen is not None and seen.epoch == place.epoch and place.seq <= seen.seq:
            return ()  # seen before
        self._seen[place.account_id] = place
        gap = _gap(seen, place)
        return (event,) if gap is None else (gap, event)

    def seen(self) -> dict[str, int]:
        """The last event of each account that arrived."""
        return {account_id: place.seq for account_id, place in self._seen.items()}

    def _note_heads(self, accounts: Any) -> None:
        for account in accounts if isinstance(accounts, list) else ():
            with contextlib.suppress(msgspec.ValidationError):
                head = msgspec.convert(account, _Head)
                place = _Place(head.account_id, head.head, None, head.epoch)
                self._heads[head.account_id] = place

    def _resume(self, seen: _Place) -> dict[str, Any]:
        # Without a name, a channel was asked for on the key's own choice: it may be this account.
        channels = [
            wanted.channel
            for wanted in self._wanted
            if wanted.channel in _LOGGED and wanted.account_id in (None, seen.account_id)
        ]
        frame = self._frame("resume", None, channels, seen.account_id) | {"after": seen.seq}
        return frame if seen.epoch is None else frame | {"epoch": seen.epoch}

    def _resumed(self, answer: Unknown) -> tuple[StreamEvent, ...]:
        """The answer to our own `resume`: only one that could not be done concerns the consumer."""
        account_id, head = answer.raw.get("account_id"), answer.raw.get("head")
        if answer.type == "resumed" or not isinstance(account_id, str) or type(head) is not int:
            return ()
        epoch = _text(answer.raw.get("epoch"))
        self._seen[account_id] = _Place(account_id, head, None, epoch)
        return (
            Gap(account_id=account_id, from_seq=0, to_seq=head, epoch=epoch, epoch_changed=True),
        )

    def _forget(self, wanted: _Wanted, symbols: list[str]) -> None:
        left = self._wanted[wanted]
        for symbol in symbols or list(left):
            left.pop(symbol, None)
        if not left:
            del self._wanted[wanted]

    def _frame(
        self, action: str, symbols: list[str] | None, channels: list[str], account_id: str | None
    ) -> dict[str, Any]:
        named = {} if symbols is None else {"symbols": symbols}
        frame = {"action": action, "id": self.next_id(), "channels": channels}
        return frame | named | about(account_id)


def _how(pace: bool, rate: float | None) -> dict[str, Any]:
    return {"pace": pace} | ({} if rate is None else {"rate": rate})


def about(account_id: str | None) -> dict[str, str]:
    """The member that names a frame's account; without one the key's own choice is meant."""
    return {} if account_id is None else {"account_id": account_id}


def _names(what: str, values: Iterable[Any]) -> list[str]:
    names = [values] if isinstance(values, str) else list(values)
    if what == "channels" and not names:
        raise ConfigError("channels is empty: name at least one, such as 'ticks'")
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{what} must be names, were {names!r}")
    return names


def _place(event: StreamEvent) -> _Place | None:
    """Where an event stands in its account's log; market data stands nowhere."""
    if isinstance(event, Logged):
        return _Place(event.account_id, event.seq, event.prev_seq, event.epoch)
    if not isinstance(event, Unknown):
        return None
    raw = event.raw
    account_id, seq, prev_seq = raw.get("account_id"), raw.get("seq"), raw.get("prev_seq")
    if not isinstance(account_id, str) or not isinstance(seq, int):
        return None
    before = prev_seq if isinstance(prev_seq, int) else None
    return _Place(account_id, seq, before, _text(raw.get("epoch")))


def _id(event: Unknown) -> Any:
    return event.raw.get("id")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _gap(seen: _Place | None, place: _Place) -> Gap | None:
    if seen is None:
        return None
    before = place.seq - 1 if place.prev_seq is None else place.prev_seq
    changed = seen.epoch != place.epoch
    from_seq = 0 if changed else seen.seq
    if before <= from_seq and not changed:
        return None
    return Gap(
        account_id=place.account_id,
        from_seq=from_seq,
        to_seq=before,
        epoch=place.epoch,
        epoch_changed=changed,
    )
