"""Messages on the bus beside ticks and events: markets, and the bus itself.

`ticks.ACCOUNT` carries `ports.TickMessage`, `events.ACCOUNT` a list of `changes.Event`, and
`terminal.ACCOUNT` a `terminal.TerminalMessage`.
"""

from msgspec import Struct

from fxsocket_server.gateway.ports import Connector
from fxsocket_server.model.sessions import next_close, next_open
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.security.keys import ApiKey

BUS_LINK = "bus.link"  # published within each process, about its own link to the others


class MarketState(Struct, frozen=True, gc=False):
    """Whether a symbol may be traded now, and when that changes, in UTC milliseconds.

    The times are None where the account keeps no sessions, and where it never changes.
    """

    is_open: bool
    next_open_ms: int | None
    next_close_ms: int | None


class MarketMessage(Struct, frozen=True, gc=False):
    """On `market.ACCOUNT`: a market has opened or closed."""

    account_id: str
    symbol: str
    time_ms: int
    state: MarketState


class KeyMessage(Struct, frozen=True, gc=False):
    """On `keys.KEY`: a key was made, changed or revoked; it is stored already.

    Whoever keeps a copy of the keys puts it there before the stream hears of it.
    """

    key: ApiKey


class LinkMessage(Struct, frozen=True, gc=False):
    """On `bus.link`: this process hears of the others again, or no more."""

    is_up: bool


def market_state(spec: SymbolSpec, connector: Connector) -> MarketState:
    """A symbol's market as it is now by the account's broker clock."""
    now_ms = connector.time_ms()
    is_open = connector.market_open(spec.symbol, now_ms)
    if not connector.capabilities.keeps_sessions:
        return MarketState(is_open, None, None)
    server_ms = now_ms + connector.server_offset_s(now_ms) * 1000
    opens, closes = (edge(spec.trade_sessions, server_ms) for edge in (next_open, next_close))
    return MarketState(is_open, _utc_ms(opens, connector), _utc_ms(closes, connector))


def _utc_ms(server_ms: int | None, connector: Connector) -> int | None:
    return None if server_ms is None else server_ms - connector.server_offset_s(server_ms) * 1000
