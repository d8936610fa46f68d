# Made from _async/paging.py by tools/make_sync.py; edit that file instead.
"""Walking a list to its end."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from fxsocket._call import Call
from fxsocket._sync.requester import Requester
from fxsocket.pages import Page, following

T = TypeVar("T")


def each(
    requester: Requester,
    route: str,
    read: Callable[[bytes], Page[T]],
    params: Mapping[str, Any],
) -> Iterator[T]:
    """Every row of a list, one page at a time."""
    cursor: str | None = None
    # until the server gives no cursor; `following` ends a server that repeats one
    while True:
        at = {} if cursor is None else {"cursor": cursor}
        page = requester.send(Call("GET", route, read, {**params, **at}))
        yield from page
        cursor = following(page, cursor)
        if cursor is None:
            return
