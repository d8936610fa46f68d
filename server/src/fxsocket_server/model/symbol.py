"""A symbol's trading rules, in integers."""

from msgspec import Struct

from fxsocket_server.model.commission import CommissionRule
from fxsocket_server.model.enums import (
    CalcMode,
    ChartMode,
    ExecutionMode,
    Filling,
    GtcMode,
    OrderType,
    SwapMode,
    TradeMode,
)
from fxsocket_server.model.leverage import Tier

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


class Session(Struct, frozen=True):
    """A span of a weekday (0 = Sunday) in minutes of broker server time; `to_minute` up to 1440."""

    weekday: int
    from_minute: int
    to_minute: int


class SymbolSpec(Struct, frozen=True, kw_only=True):
    """What a broker allows on one symbol and how it calculates.

    Prices and levels are points; volumes and `contract_size` are 1e-8 units (lots, currency units);
    swap rates, margin rates and money are 1e-8; spreads are points.

    `margin_rates` is one rate per order type from BUY to SELL_STOP_LIMIT, and `maintenance_rates`
    those of open buys and sells; empty, the one `margin_rate` holds for both sides and pending
    orders need no margin. `swap_multipliers`, one per weekday from Sunday, stand in place of the
    triple day. `depth` is the volume that a tick offers and `instant_volume_max` what is executed
    without asking the dealer, 0 any. `holidays` are days since 1970-01-01 without trading.
    """

    symbol: str
    description: str
    digits: int
    contract_size: int
    currency_base: str
    currency_profit: str
    currency_margin: str
    tick_size: int
    volume_min: int
    volume_max: int
    volume_step: int
    volume_limit: int = 0
    stops_level: int = 0
    freeze_level: int = 0
    execution_mode: ExecutionMode = ExecutionMode.MARKET
    filling_modes: tuple[Filling, ...] = (Filling.FOK, Filling.IOC)
    order_types: tuple[OrderType, ...]
    trade_mode: TradeMode = TradeMode.FULL
    calc_mode: CalcMode
    margin_initial: int = 0
    margin_hedged: int = 0
    margin_rate: int = 10**8
    swap_mode: SwapMode = SwapMode.DISABLED
    swap_long: int = 0
    swap_short: int = 0
    swap_triple_day: int = 3
    spread: int = 0
    spread_floating: bool = True
    chart_mode: ChartMode = ChartMode.BID
    quote_sessions: tuple[Session, ...] = ()
    trade_sessions: tuple[Session, ...] = ()
    margin_maintenance: int = 0
    margin_rates: tuple[int, ...] = ()
    maintenance_rates: tuple[int, ...] = ()
    margin_larger_leg: bool = False
    leverage_tiers: tuple[Tier, ...] = ()
    tick_value: int = 0
    face_value: int = 10**8
    swap_multipliers: tuple[int, ...] = ()
    swap_year_days: int = 360
    gtc_mode: GtcMode = GtcMode.GTC
    close_by: bool = True
    instant_volume_max: int = 0
    depth: int = 0
    commissions: tuple[CommissionRule, ...] = ()
    holidays: tuple[int, ...] = ()
    start_ms: int | None = None
    expiration_ms: int | None = None
