"""What a stream must remember over reconnects, decided without a socket.

Which subscriptions are wanted, and up to where each account's log was seen.
"""

from collections.abc import Iterable
from itertools import count
from typing import Any, NamedTuple

from fxsocket.errors import ConfigError
from fxsocket.events import Gap, OrderUpdate, StreamEvent, Unknown


class _Wanted(NamedTuple):
    channel: str
    account_id: str | None
    pace: bool


class _Place(NamedTuple):
    account_id: str
    seq: int
    prev_seq: int | None
    epoch: str | int | None


class Session:
    """The memory of one stream; the server itself remembers no subscription."""

    def __init__(self, account_id: str | None) -> None:
        self._account_id = account_id
        self._wanted: dict[_Wanted, dict[str, None]] = {}
        self._seen: dict[str, _Place] = {}
        self._ids = count(1)

    def next_id(self) -> str:
        """An id for one frame, new within this stream."""
        return str(next(self._ids))

    def subscribe(
        self, symbols: Iterable[str], channels: Iterable[str], pace: bool, account_id: str | None
    ) -> dict[str, Any]:
        """Note a subscription; gives the frame that asks for it."""
        names, kinds = _names("symbols", symbols), _names("channels", channels)
        account = account_id or self._account_id
        for channel in kinds:
            wanted = self._wanted.setdefault(_Wanted(channel, account, pace), {})
            wanted.update(dict.fromkeys(names))
        return self._frame("subscribe", names, kinds, account) | {"pace": pace}

    def unsubscribe(
        self, symbols: Iterable[str], channels: Iterable[str], account_id: str | None
    ) -> dict[str, Any]:
        """Forget a subscription; gives the frame that ends it."""
        names, kinds = _names("symbols", symbols), _names("channels", channels)
        account = account_id or self._account_id
        for wanted in [w for w in self._wanted if w.channel in kinds and w.account_id == account]:
            self._forget(wanted, names)
        return self._frame("unsubscribe", names, kinds, account)

    def resubscribe(self) -> list[dict[str, Any]]:
        """The frames that bring a new connection to what is wanted."""
        return [
            self._frame("subscribe", list(symbols), [wanted.channel], wanted.account_id)
            | {"pace": wanted.pace}
            for wanted, symbols in self._wanted.items()
        ]

    def admit(self, event: StreamEvent) -> tuple[StreamEvent, ...]:
        """What the consumer gets of an arriving event: nothing, it, or a Gap and it."""
        place = _place(event)
        if place is None:
            return (event,)
        seen = self._seen.get(place.account_id)
        if seen is not None and seen.epoch == place.epoch and place.seq <= seen.seq:
            return ()  # seen before
        self._seen[place.account_id] = place
        gap = _gap(seen, place)
        return (event,) if gap is None else (gap, event)

    def _forget(self, wanted: _Wanted, symbols: list[str]) -> None:
        left = self._wanted[wanted]
        for symbol in symbols or list(left):
            left.pop(symbol, None)
        if not left:
            del self._wanted[wanted]

    def _frame(
        self, action: str, symbols: list[str], channels: list[str], account_id: str | None
    ) -> dict[str, Any]:
        frame = {
            "action": action,
            "id": self.next_id(),
            "channels": channels,
            "symbols": symbols,
        }
        return frame if account_id is None else frame | {"account_id": account_id}


def _names(what: str, values: Iterable[Any]) -> list[str]:
    names = [values] if isinstance(values, str) else list(values)
    if what == "channels" and not names:
        raise ConfigError("channels is empty: name at least one, such as 'ticks'")
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{what} must be names, were {names!r}")
    return names


def _place(event: StreamEvent) -> _Place | None:
    """Where an event stands in its account's log; market data stands nowhere."""
    if isinstance(event, OrderUpdate):
        return _Place(event.account_id, event.seq, event.prev_seq, event.epoch)
    if not isinstance(event, Unknown):
        return None
    raw = event.raw
    account_id, seq, prev_seq = raw.get("account_id"), raw.get("seq"), raw.get("prev_seq")
    if not isinstance(account_id, str) or not isinstance(seq, int):
        return None
    return _Place(account_id, seq, prev_seq if isinstance(prev_seq, int) else None, _epoch(raw))


def _epoch(raw: dict[str, Any]) -> str | int | None:
    epoch = raw.get("epoch")
    return epoch if isinstance(epoch, str | int) else None


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
