"""Answers that hold many rows, a page at a time."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from fxsocket.errors import ConfigError, ProtocolError
from fxsocket.models import Candle, Event

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """Some rows, and the cursor of the next ones; `next_cursor` is None on the last page."""

    data: tuple[T, ...]
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> T:
        return self.data[index]


class Candles(Page[Candle], frozen=True, kw_only=True):
    """Candles in ascending time; `complete` is False when the source could not deliver them all."""

    complete: bool = True

    def columns(self) -> dict[str, list[Any]]:
        """The candles as one list per field: what pandas and polars build a frame from."""
        fields = Candle.__struct_fields__
        return {name: [getattr(candle, name) for candle in self.data] for name in fields}

    def to_pandas(self) -> Any:
        """The candles as a pandas.DataFrame indexed by time; needs the extra `fxsocket[pandas]`."""
        try:
            pandas = import_module("pandas")
        except ImportError:
            raise ConfigError("to_pandas needs pandas: pip install 'fxsocket[pandas]'") from None
        return pandas.DataFrame(self.columns()).set_index("time")


class EventPage(Page[Event], frozen=True, kw_only=True):
    """Lines of an account's log; `head` is its last `seq`, `epoch` changes when it is restored."""

    epoch: str | None = None
    head: int


def rows_reader(kind: type[T]) -> Callable[[bytes], list[T]]:
    """Make the reader of a whole list, which comes as a plain array or as one page's `data`."""
    plain = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]
    paged = msgspec.json.Decoder(Page[kind])  # type: ignore[valid-type]

    def read(body: bytes) -> list[T]:
        return plain.decode(body) if body.lstrip()[:1] == b"[" else list(paged.decode(body).data)

    return read


def read_events(body: bytes) -> EventPage:
    """Read a page of `/events`, keeping every field of each event in `raw`."""
    page = msgspec.json.decode(body, type=_RawEvents)
    return EventPage(
        data=tuple(_event(row) for row in page.data),
        next_cursor=page.next_cursor,
        epoch=page.epoch,
        head=page.head,
    )


def following(page: Page[Any], cursor: str | None) -> str | None:
    """The cursor after this page; a server that repeats one would be asked for ever."""
    if page.next_cursor is not None and page.next_cursor == cursor:
        raise ProtocolError(f"the server answered the cursor {cursor!r} twice; stopped paging")
    return page.next_cursor


class _RawEvents(Struct):
    data: list[dict[str, Any]]
    head: int
    epoch: str | None = None
    next_cursor: str | None = None


def _event(row: dict[str, Any]) -> Event:
    return msgspec.convert({**row, "raw": row}, Event)
