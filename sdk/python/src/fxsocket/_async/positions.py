"""Positions: read, move the stops, close, reverse."""

import builtins
from collections.abc import AsyncIterator
from datetime import datetime

from fxsocket._async.paging import each
from fxsocket._async.requester import AsyncRequester
from fxsocket._call import KEEP, Call, Kept, changed, given, path, reader
from fxsocket.models import (
    ClosedAll,
    CloseResult,
    Position,
    PositionResult,
    Reversed,
)
from fxsocket.pages import Page, rows_reader

_read_position = reader(Position)
_read_positions = rows_reader(Position)
_read_page = reader(Page[Position])
_read_close = reader(CloseResult)
_read_all = reader(ClosedAll)
_read_reversed = reader(Reversed)


class AsyncPositionsResource:
    """`client.positions`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def list(
        self, *, symbol: str | None = None, magic: int | None = None
    ) -> builtins.list[Position]:
        """The open positions of the account, oldest first."""
        params = given({"symbol": symbol, "magic": magic})
        return await self._requester.send(Call("GET", "/positions", _read_positions, params))

    async def get(self, position_id: str) -> Position:
        """Look a position up; raises NotFoundError."""
        route = path("positions", position_id)
        return await self._requester.send(Call("GET", route, _read_position))

    async def history(
        self,
        *,
        symbol: str | None = None,
        magic: int | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Position]:
        """One page of closed positions, by when they were closed; `next_cursor` leads on."""
        params = _filters(symbol, magic, from_, to, limit) | given({"cursor": cursor})
        return await self._requester.send(Call("GET", "/history/positions", _read_page, params))

    def iter_history(
        self,
        *,
        symbol: str | None = None,
        magic: int | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Position]:
        """Every closed position, by when it was closed, page after page."""
        params = _filters(symbol, magic, from_, to, limit)
        return each(self._requester, "/history/positions", _read_page, params)

    async def modify(
        self,
        position_id: str,
        *,
        sl: float | Kept | None = KEEP,
        tp: float | Kept | None = KEEP,
        idempotency_key: str | None = None,
    ) -> Position:
        """Move the stops: what is left out stays, None removes it."""
        body, route = changed({"sl": sl, "tp": tp}), path("positions", position_id)
        frame = {"action": "position.modify", "position_id": position_id, "patch": body}
        call = Call("PATCH", route, _read_position, None, body, idempotency_key, frame=frame)
        return await self._requester.send(call)

    async def close(
        self,
        position_id: str,
        *,
        volume: float | None = None,
        deviation: int | None = None,
        idempotency_key: str | None = None,
    ) -> CloseResult:
        """Close a position, or `volume` lots of it, within `deviation` points of the price.

        Closing what is closed gives its result again, with `already` True.
        """
        params = given({"volume": volume, "deviation": deviation})
        route = path("positions", position_id)
        frame = {"action": "position.close", "position_id": position_id, **params}
        call = Call("DELETE", route, _read_close, params, None, idempotency_key, frame=frame)
        return await self._requester.send(call)

    async def close_by(
        self, position_id: str, other_id: str, *, idempotency_key: str | None = None
    ) -> builtins.list[PositionResult]:
        """Let a position and an opposite one close each other, without the spread.

        Gives what became of both; hedging accounts only.
        """
        body, route = {"position_id": other_id}, path("positions", position_id) + "/close-by"
        frame = {"action": "position.close_by", "position_id": position_id, "by": other_id}
        call = Call("POST", route, _read_all, None, body, idempotency_key, frame=frame)
        return list((await self._requester.send(call)).results)

    async def reverse(self, position_id: str, *, idempotency_key: str | None = None) -> Reversed:
        """Close a position and open the opposite one of the same volume, without its stops.

        Raises OrderRejected when nothing was done; when only the opening failed, `error` says why.
        """
        route = path("positions", position_id) + "/reverse"
        frame = {"action": "position.reverse", "position_id": position_id}
        call = Call("POST", route, _read_reversed, None, {}, idempotency_key, frame=frame)
        return await self._requester.send(call)

    async def close_all(
        self,
        *,
        symbol: str | None = None,
        magic: int | None = None,
        side: str | None = None,
        include_orders: bool = False,
        idempotency_key: str | None = None,
    ) -> ClosedAll:
        """Close every position that fits, and with `include_orders` cancel orders that do.

        `side` is BUY or SELL; what is left out does not narrow it. One that fails undoes no other.
        """
        body = given({"symbol": symbol, "magic": magic, "side": side}) | {
            "include_orders": include_orders
        }
        route, frame = "/positions/close-all", {"action": "position.close_all", **body}
        call = Call("POST", route, _read_all, None, body, idempotency_key, frame=frame)
        return await self._requester.send(call)


def _filters(
    symbol: str | None,
    magic: int | None,
    from_: datetime | str | None,
    to: datetime | str | None,
    limit: int | None,
) -> dict[str, object]:
    return given({"symbol": symbol, "magic": magic, "from": from_, "to": to, "limit": limit})
