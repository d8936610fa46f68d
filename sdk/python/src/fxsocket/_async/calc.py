"""What would be: margin and profit of orders that nobody places, statistics of those that were."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from fxsocket._async.requester import AsyncRequester
from fxsocket._call import Call, given, reader
from fxsocket.models import OrderType, Stats


class _Margin(Struct):
    margin: float


class _Profit(Struct):
    profit: float


_read_margin = reader(_Margin)
_read_profit = reader(_Profit)
_read_stats = reader(Stats)


class AsyncCalcResource:
    """`client.calc`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def margin(
        self,
        symbol: str,
        type: OrderType | str,  # noqa: A002 - the trade's word
        volume: float,
        price: float | None = None,
    ) -> float:
        """Margin of an order on its own in the account's currency; without `price` at the market's.

        Raises ValidationError.
        """
        params = given({"symbol": symbol, "type": type, "volume": volume, "price": price})
        call = Call("GET", "/calc/margin", _read_margin, params)
        answer = await self._requester.send(call)
        return answer.margin

    async def profit(
        self,
        symbol: str,
        type: str,  # noqa: A002 - the trade's word
        volume: float,
        open_price: float,
        close_price: float,
    ) -> float:
        """Profit of a BUY or SELL between two prices in the account's currency, at rates of now.

        Raises ValidationError.
        """
        params = given(
            {
                "symbol": symbol,
                "type": type,
                "volume": volume,
                "open_price": open_price,
                "close_price": close_price,
            }
        )
        call = Call("GET", "/calc/profit", _read_profit, params)
        answer = await self._requester.send(call)
        return answer.profit


class AsyncStatsResource:
    """`client.stats`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def get(
        self,
        *,
        group_by: Iterable[str] = (),
        symbol: str | None = None,
        magic: int | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
    ) -> Stats:
        """What the closed trades add up to, in all and by `magic`, `symbol` or `comment`."""
        names = [group_by] if isinstance(group_by, str) else group_by
        params = given(
            {
                "group_by": ",".join(names) or None,
                "symbol": symbol,
                "magic": magic,
                "from": from_,
                "to": to,
            }
        )
        return await self._requester.send(Call("GET", "/stats", _read_stats, params))
