"""Levers of simulated accounts."""

from fxsocket._async.requester import AsyncRequester
from fxsocket._call import Call, given, reader
from fxsocket.models import Quote

_read_quote = reader(Quote)


class AsyncSimResource:
    """`client.sim`"""

    def __init__(self, requester: AsyncRequester) -> None:
        self._requester = requester

    async def set_price(self, symbol: str, bid: float, ask: float) -> Quote:
        """Set the market of a simulated account; raises ForbiddenError on any other."""
        body = given({"symbol": symbol, "bid": bid, "ask": ask})
        return await self._requester.send(Call("POST", "/sim/price", _read_quote, None, body))
