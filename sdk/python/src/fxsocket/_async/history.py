"""What happened: deals, and the account's log of events."""

from collections.abc import AsyncIterator
from datetime import datetime

from fxsocket._async.paging import each
from fxsocket._async.requester import AsyncRequester
from fxsocket._call import Call, given, reader
from fxsocket.models import Deal
from fxsocket.pages import EventPage, Page, read_events

_read_deals = reader(Page[Deal])


class AsyncDealsResource:
    """`client.deals`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def list(
        self,
        *,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        symbol: str | None = None,
        magic: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Deal]:
        """One page of deals; give its `next_cursor` as `cursor` to read on."""
        params = _filters(from_, to, symbol, magic, limit) | given({"cursor": cursor})
        return await self._requester.send(Call("GET", "/history/deals", _read_deals, params))

    def iter(
        self,
        *,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        symbol: str | None = None,
        magic: int | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Deal]:
        """Every deal that fits, page after page; `limit` is the size of a page."""
        params = _filters(from_, to, symbol, magic, limit)
        return each(self._requester, "/history/deals", _read_deals, params)


class AsyncEventsResource:
    """`client.events`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def list(
        self,
        *,
        after: int | str | None = None,
        epoch: str | None = None,
        limit: int | None = None,
        wait_ms: int | None = None,
    ) -> EventPage:
        """Events above the `seq` `after`; with none there, wait up to `wait_ms` for the next.

        Give the page's `next_cursor` as `after` to read on. Raises ValidationError when the log has
        another `epoch` than given.
        """
        params = given({"after": after, "epoch": epoch, "limit": limit, "wait_ms": wait_ms})
        wait_s = (wait_ms or 0) / 1000
        call = Call("GET", "/events", read_events, params, extra_wait_s=wait_s)
        return await self._requester.send(call)


def _filters(
    from_: datetime | str | None,
    to: datetime | str | None,
    symbol: str | None,
    magic: int | None,
    limit: int | None,
) -> dict[str, object]:
    return given({"from": from_, "to": to, "symbol": symbol, "magic": magic, "limit": limit})
