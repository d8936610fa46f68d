"""FxSocket: MetaTrader 4 and 5 accounts from Python.

```python
from fxsocket import FxSocketClient

client = FxSocketClient(api_key="...")
order = client.orders.create(symbol="EURUSD", type="BUY", volume=0.1)
print(order.price)
```
"""

from fxsocket._async.client import AsyncFxSocketClient
from fxsocket._call import KEEP
from fxsocket._orders import OrderRequest
from fxsocket._runtime import VERSION
from fxsocket._sync.client import FxSocketClient
from fxsocket.errors import (
    ApiError,
    AuthError,
    ConfigError,
    ConflictError,
    ConnectError,
    ConnectionLost,
    FieldError,
    ForbiddenError,
    FxSocketError,
    NotFoundError,
    OrderOutcomeUnknown,
    OrderRejected,
    ProtocolError,
    RateLimitError,
    RequestTimeout,
    ServerError,
    StreamError,
    TransportError,
    ValidationError,
)
from fxsocket.events import (
    ChannelGap,
    DealUpdate,
    Gap,
    Heartbeat,
    OrderUpdate,
    PositionUpdate,
    Snapshot,
    Stale,
    StreamErrorEvent,
    StreamEvent,
    Subscribed,
    Tick,
    Unknown,
)
from fxsocket.models import (
    Account,
    AccountSummary,
    Candle,
    CloseResult,
    CurvePoint,
    Deal,
    Event,
    Order,
    OrderCheck,
    Position,
    Quote,
    SimFault,
    SimFaults,
    Stats,
    Symbol,
    TradeFigures,
    TradeGroup,
)
from fxsocket.pages import Candles, EventPage, Page

__version__ = VERSION

__all__ = [
    "KEEP",
    "Account",
    "AccountSummary",
    "ApiError",
    "AsyncFxSocketClient",
    "AuthError",
    "Candle",
    "Candles",
    "ChannelGap",
    "CloseResult",
    "ConfigError",
    "ConflictError",
    "ConnectError",
    "ConnectionLost",
    "CurvePoint",
    "Deal",
    "DealUpdate",
    "Event",
    "EventPage",
    "FieldError",
    "ForbiddenError",
    "FxSocketClient",
    "FxSocketError",
    "Gap",
    "Heartbeat",
    "NotFoundError",
    "Order",
    "OrderCheck",
    "OrderOutcomeUnknown",
    "OrderRejected",
    "OrderRequest",
    "OrderUpdate",
    "Page",
    "Position",
    "PositionUpdate",
    "ProtocolError",
    "Quote",
    "RateLimitError",
    "RequestTimeout",
    "ServerError",
    "SimFault",
    "SimFaults",
    "Snapshot",
    "Stale",
    "Stats",
    "StreamError",
    "StreamErrorEvent",
    "StreamEvent",
    "Subscribed",
    "Symbol",
    "Tick",
    "TradeFigures",
    "TradeGroup",
    "TransportError",
    "Unknown",
    "ValidationError",
    "__version__",
]
