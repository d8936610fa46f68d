# Made from _async/sim.py by tools/make_sync.py; edit that file instead.
"""Levers of simulated accounts."""

from fxsocket._call import KEEP, Call, Kept, changed, given, reader
from fxsocket._sync.requester import Requester
from fxsocket.models import Quote, SimFaults

_read_quote = reader(Quote)
_read_faults = reader(SimFaults)


class SimFaultsResource:
    """`client.sim.faults`; every method raises ForbiddenError on other than simulated accounts."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    def put(
        self,
        scenario: str | Kept = KEEP,
        *,
        delay_ms: int | Kept = KEEP,
        delay_shape: str | Kept = KEEP,
        retcode: int | Kept | None = KEEP,
        lose_reply: bool | Kept = KEEP,
        freeze: bool | Kept = KEEP,
        disconnect: bool | Kept = KEEP,
        partial_volume: float | Kept | None = KEEP,
        price_jump_points: int | Kept = KEEP,
        spread_points: int | Kept = KEEP,
        trade_disabled: bool | Kept = KEEP,
        off_quotes: bool | Kept = KEEP,
        duplicate_events: bool | Kept = KEEP,
        reorder_events: bool | Kept = KEEP,
        rollover_spread_points: int | Kept = KEEP,
        weekend_gap_points: int | Kept = KEEP,
        times: int | Kept | None = KEEP,
        seed: int | Kept = KEEP,
    ) -> SimFaults:
        """Put a fault in force: a scenario, settings of your own, or both; all that are in force.

        It lasts for `times` trade commands, None until `clear`. Raises ValidationError naming the
        field.
        """
        fields = {name: value for name, value in locals().items() if name != "self"}
        call = Call("POST", "/sim/faults", _read_faults, None, changed(fields))
        return self._requester.send(call)

    def list(self) -> SimFaults:
        """The faults in force, and the scenarios that there are."""
        return self._requester.send(Call("GET", "/sim/faults", _read_faults))

    def clear(self) -> SimFaults:
        """Take all faults away; commands that a frozen terminal held back are executed."""
        return self._requester.send(Call("DELETE", "/sim/faults", _read_faults))


class SimResource:
    """`client.sim`"""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self.faults = SimFaultsResource(requester)

    def set_price(self, symbol: str, bid: float, ask: float) -> Quote:
        """Set the market of a simulated account; raises ForbiddenError on any other."""
        body = given({"symbol": symbol, "bid": bid, "ask": ask})
        return self._requester.send(Call("POST", "/sim/price", _read_quote, None, body))
