"""MetaTrader's enumerations, in the upper-case words of the API."""

from enum import StrEnum


class OrderType(StrEnum):
    """What an order does; CLOSE_BY only ever comes from the broker's side."""

    BUY = "BUY"
    SELL = "SELL"
    BUY_LIMIT = "BUY_LIMIT"
    SELL_LIMIT = "SELL_LIMIT"
    BUY_STOP = "BUY_STOP"
    SELL_STOP = "SELL_STOP"
    BUY_STOP_LIMIT = "BUY_STOP_LIMIT"
    SELL_STOP_LIMIT = "SELL_STOP_LIMIT"
    CLOSE_BY = "CLOSE_BY"

    @property
    def is_market(self) -> bool:
        """True of BUY and SELL, which execute at once."""
        return self in _MARKET

    @property
    def is_buy(self) -> bool:
        """True when an execution buys."""
        return self in _BUYING


_MARKET = frozenset((OrderType.BUY, OrderType.SELL))
_BUYING = frozenset(
    (OrderType.BUY, OrderType.BUY_LIMIT, OrderType.BUY_STOP, OrderType.BUY_STOP_LIMIT)
)


class OrderStatus(StrEnum):
    """Where an order stands; see `TERMINAL_STATUSES`."""

    PENDING = "PENDING"
    PLACED = "PLACED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"


DONE_STATUSES = frozenset(
    (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED)
)


class PositionStatus(StrEnum):
    """Whether a position still bears market risk."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class Side(StrEnum):
    """Direction of a position or deal."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """The other direction."""
        return Side.SELL if self is Side.BUY else Side.BUY


class DealType(StrEnum):
    """What a deal books."""

    BUY = "BUY"
    SELL = "SELL"
    BALANCE = "BALANCE"
    CREDIT = "CREDIT"
    CORRECTION = "CORRECTION"


class DealEntry(StrEnum):
    """Whether a deal opens or closes."""

    IN = "IN"
    OUT = "OUT"
    INOUT = "INOUT"
    OUT_BY = "OUT_BY"


class Reason(StrEnum):
    """Who or what made an order or deal."""

    CLIENT = "CLIENT"
    MOBILE = "MOBILE"
    WEB = "WEB"
    EXPERT = "EXPERT"
    SL = "SL"
    TP = "TP"
    SO = "SO"


class Filling(StrEnum):
    """What happens when the whole volume is not to be had at once."""

    FOK = "FOK"
    IOC = "IOC"
    RETURN = "RETURN"
    BOC = "BOC"


class TimeInForce(StrEnum):
    """How long a pending order lives."""

    GTC = "GTC"
    DAY = "DAY"
    SPECIFIED = "SPECIFIED"
    SPECIFIED_DAY = "SPECIFIED_DAY"


class Action(StrEnum):
    """What a trade request asks of the broker (MqlTradeRequest.action)."""

    DEAL = "DEAL"
    PENDING = "PENDING"
    SLTP = "SLTP"
    MODIFY = "MODIFY"
    REMOVE = "REMOVE"
    CLOSE_BY = "CLOSE_BY"


class ExecutionMode(StrEnum):
    """How a symbol's market orders execute."""

    REQUEST = "REQUEST"
    INSTANT = "INSTANT"
    MARKET = "MARKET"
    EXCHANGE = "EXCHANGE"


class TradeMode(StrEnum):
    """What may be traded on a symbol."""

    DISABLED = "DISABLED"
    LONGONLY = "LONGONLY"
    SHORTONLY = "SHORTONLY"
    CLOSEONLY = "CLOSEONLY"
    FULL = "FULL"


class CalcMode(StrEnum):
    """How a symbol's margin and profit are calculated."""

    FOREX = "FOREX"
    FOREX_NO_LEVERAGE = "FOREX_NO_LEVERAGE"
    CFD = "CFD"
    CFDLEVERAGE = "CFDLEVERAGE"


class SwapMode(StrEnum):
    """The unit of a symbol's swap rates."""

    DISABLED = "DISABLED"
    POINTS = "POINTS"
    CURRENCY_DEPOSIT = "CURRENCY_DEPOSIT"
    INTEREST_CURRENT = "INTEREST_CURRENT"
    INTEREST_OPEN = "INTEREST_OPEN"


class MarginMode(StrEnum):
    """How positions of one symbol add up."""

    NETTING = "NETTING"
    HEDGING = "HEDGING"
    EXCHANGE = "EXCHANGE"


class AccountKind(StrEnum):
    """What stands behind an account."""

    TERMINAL = "TERMINAL"
    SIM = "SIM"
    REPLAY = "REPLAY"


class AccountStatus(StrEnum):
    """Whether an account's terminal can be reached."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    ERROR = "error"
