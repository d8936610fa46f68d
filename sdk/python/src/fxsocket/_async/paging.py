"""Walking a list to its end."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from fxsocket._async.requester import AsyncRequester
from fxsocket._call import Call
from fxsocket.pages import Page, following

T = TypeVar("T")


async def each(
    requester: AsyncRequester,
    route: str,
    read: Callable[[bytes], Page[T]],
    params: Mapping[str, Any],
) -> AsyncIterator[T]:
    """Every row of a list, one page at a time."""
    cursor: str | None = None
    # until the server gives no cursor; `following` ends a server that repeats one
    while True:
        at = {} if cursor is None else {"cursor": cursor}
        page = await requester.send(Call("GET", route, read, {**params, **at}))
        for row in page:
            yield row
        cursor = following(page, cursor)
        if cursor is None:
            return
