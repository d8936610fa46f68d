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

    __hash__ = str.__hash__  # Enum's own, written in Python, would be most of a look-up

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

    __hash__ = str.__hash__  # as of OrderType

    @property
    def opposite(self) -> "Side":
        """The other direction."""
        return Side.SELL if self is Side.BUY else Side.BUY


class DealType(StrEnum):
    """What a deal books; from AGENT on they are known to servers only."""

    BUY = "BUY"
    SELL = "SELL"
    BALANCE = "BALANCE"
    CREDIT = "CREDIT"
    CHARGE = "CHARGE"
    CORRECTION = "CORRECTION"
    BONUS = "BONUS"
    COMMISSION = "COMMISSION"
    COMMISSION_DAILY = "COMMISSION_DAILY"
    COMMISSION_MONTHLY = "COMMISSION_MONTHLY"
    AGENT_DAILY = "AGENT_DAILY"
    AGENT_MONTHLY = "AGENT_MONTHLY"
    INTEREST = "INTEREST"
    BUY_CANCELED = "BUY_CANCELED"
    SELL_CANCELED = "SELL_CANCELED"
    DIVIDEND = "DIVIDEND"
    DIVIDEND_FRANKED = "DIVIDEND_FRANKED"
    TAX = "TAX"
    AGENT = "AGENT"
    SO_COMPENSATION = "SO_COMPENSATION"
    SO_COMPENSATION_CREDIT = "SO_COMPENSATION_CREDIT"


class DealEntry(StrEnum):
    """Whether a deal opens or closes."""

    IN = "IN"
    OUT = "OUT"
    INOUT = "INOUT"
    OUT_BY = "OUT_BY"


class Reason(StrEnum):
    """Who or what made an order or deal; from ROLLOVER on deals only."""

    CLIENT = "CLIENT"
    MOBILE = "MOBILE"
    WEB = "WEB"
    EXPERT = "EXPERT"
    SL = "SL"
    TP = "TP"
    SO = "SO"
    ROLLOVER = "ROLLOVER"
    VMARGIN = "VMARGIN"
    SPLIT = "SPLIT"
    CORPORATE_ACTION = "CORPORATE_ACTION"


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
    FUTURES = "FUTURES"
    CFD = "CFD"
    CFDINDEX = "CFDINDEX"
    CFDLEVERAGE = "CFDLEVERAGE"
    FOREX_NO_LEVERAGE = "FOREX_NO_LEVERAGE"
    EXCH_STOCKS = "EXCH_STOCKS"
    EXCH_FUTURES = "EXCH_FUTURES"
    EXCH_FUTURES_FORTS = "EXCH_FUTURES_FORTS"
    EXCH_OPTIONS = "EXCH_OPTIONS"
    EXCH_OPTIONS_MARGIN = "EXCH_OPTIONS_MARGIN"
    EXCH_BONDS = "EXCH_BONDS"
    EXCH_STOCKS_MOEX = "EXCH_STOCKS_MOEX"
    EXCH_BONDS_MOEX = "EXCH_BONDS_MOEX"
    SERV_COLLATERAL = "SERV_COLLATERAL"


class SwapMode(StrEnum):
    """The unit of a symbol's swap rates."""

    DISABLED = "DISABLED"
    POINTS = "POINTS"
    CURRENCY_SYMBOL = "CURRENCY_SYMBOL"
    CURRENCY_MARGIN = "CURRENCY_MARGIN"
    CURRENCY_DEPOSIT = "CURRENCY_DEPOSIT"
    INTEREST_CURRENT = "INTEREST_CURRENT"
    INTEREST_OPEN = "INTEREST_OPEN"
    REOPEN_CURRENT = "REOPEN_CURRENT"
    REOPEN_BID = "REOPEN_BID"
    CURRENCY_PROFIT = "CURRENCY_PROFIT"


class CommissionUnit(StrEnum):
    """What a commission rate is: money of a currency, pips, or a share of value or profit."""

    MONEY_DEPOSIT = "MONEY_DEPOSIT"
    MONEY_BASE = "MONEY_BASE"
    MONEY_PROFIT = "MONEY_PROFIT"
    MONEY_MARGIN = "MONEY_MARGIN"
    PIPS = "PIPS"
    PERCENT = "PERCENT"
    PERCENT_PROFIT = "PERCENT_PROFIT"


class CommissionPer(StrEnum):
    """Whether a commission in money or pips is taken per lot or once per deal."""

    LOT = "LOT"
    DEAL = "DEAL"


class CommissionRange(StrEnum):
    """What the tiers of a commission are counted in."""

    VOLUME = "VOLUME"
    TURNOVER_MONEY = "TURNOVER_MONEY"
    TURNOVER_VOLUME = "TURNOVER_VOLUME"


class CommissionCharge(StrEnum):
    """When a commission is taken."""

    DAILY = "DAILY"
    MONTHLY = "MONTHLY"
    INSTANT = "INSTANT"


class CommissionEntry(StrEnum):
    """Which deals an instant commission is taken on."""

    ALL = "ALL"
    IN = "IN"
    OUT = "OUT"


class GtcMode(StrEnum):
    """What the end of the trade day removes from a symbol."""

    GTC = "GTC"
    DAILY = "DAILY"
    DAILY_EXCLUDING_STOPS = "DAILY_EXCLUDING_STOPS"


class ChartMode(StrEnum):
    """What a symbol's candles are made of, and on an exchange its triggers."""

    BID = "BID"
    LAST = "LAST"


class MarginMode(StrEnum):
    """How positions of one symbol add up."""

    NETTING = "NETTING"
    HEDGING = "HEDGING"
    EXCHANGE = "EXCHANGE"


class Platform(StrEnum):
    """Which MetaTrader's rules an account follows."""

    MT4 = "MT4"
    MT5 = "MT5"


class StopOutMode(StrEnum):
    """What the margin call and stop-out levels are compared with."""

    PERCENT = "PERCENT"
    MONEY = "MONEY"


class FreeMarginMode(StrEnum):
    """Which part of floating profit counts in free margin."""

    NO_PROFIT = "NO_PROFIT"
    ALL_PROFIT = "ALL_PROFIT"
    PROFIT_ONLY = "PROFIT_ONLY"
    LOSS_ONLY = "LOSS_ONLY"


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
