"""The market: symbols, quotes, candles."""

import builtins
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from fxsocket._async.paging import each
from fxsocket._async.requester import AsyncRequester
from fxsocket._call import Call, given, path, reader
from fxsocket.models import Candle, Quote, Symbol, Timeframe
from fxsocket.pages import Candles, rows_reader

_read_symbol = reader(Symbol)
_read_symbols = rows_reader(Symbol)
_read_quote = reader(Quote)
_read_quotes = rows_reader(Quote)
_read_candles = reader(Candles)


class AsyncSymbolsResource:
    """`client.symbols`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def list(
        self, *, group: str | None = None, visible: bool | None = None
    ) -> builtins.list[Symbol]:
        """The broker's symbols; `group` is a pattern such as `*USD*`."""
        params = given({"group": group, "visible": visible})
        return await self._requester.send(Call("GET", "/symbols", _read_symbols, params))

    async def get(self, symbol: str) -> Symbol:
        """The broker's rules for one symbol; raises NotFoundError."""
        return await self._requester.send(Call("GET", path("symbols", symbol), _read_symbol))


class AsyncQuotesResource:
    """`client.quotes`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def get(self, symbol: str) -> Quote:
        """The latest price of one symbol; raises NotFoundError."""
        return await self._requester.send(Call("GET", path("quotes", symbol), _read_quote))

    async def list(self, symbols: Iterable[str]) -> builtins.list[Quote]:
        """The latest prices of several symbols."""
        names = [symbols] if isinstance(symbols, str) else symbols
        params = {"symbols": ",".join(names)}
        return await self._requester.send(Call("GET", "/quotes", _read_quotes, params))


class AsyncCandlesResource:
    """`client.candles`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def list(
        self,
        symbol: str,
        timeframe: Timeframe | str,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        limit: int | None = None,
        *,
        cursor: str | None = None,
    ) -> Candles:
        """One page of candles in ascending time; give its `next_cursor` as `cursor` to read on."""
        params = _range(symbol, timeframe, from_, to, limit) | given({"cursor": cursor})
        return await self._requester.send(Call("GET", "/candles", _read_candles, params))

    def iter(
        self,
        symbol: str,
        timeframe: Timeframe | str,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Candle]:
        """Every candle of the range, page after page; `limit` is the size of a page."""
        params = _range(symbol, timeframe, from_, to, limit)
        return each(self._requester, "/candles", _read_candles, params)


def _range(
    symbol: str,
    timeframe: str,
    from_: datetime | str | None,
    to: datetime | str | None,
    limit: int | None,
) -> dict[str, object]:
    return given(
        {"symbol": symbol, "timeframe": timeframe, "from": from_, "to": to, "limit": limit}
    )
