# Made from _async/sim.py by tools/make_sync.py; edit that file instead.
"""Levers of simulated accounts."""

from fxsocket._call import Call, given, reader
from fxsocket._sync.requester import Requester
from fxsocket.models import Quote

_read_quote = reader(Quote)


class SimResource:
    """`client.sim`"""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    def set_price(self, symbol: str, bid: float, ask: float) -> Quote:
        """Set the market of a simulated account; raises ForbiddenError on any other."""
        body = given({"symbol": symbol, "bid": bid, "ask": ask})
        return self._requester.send(Call("POST", "/sim/price", _read_quote, None, body))
