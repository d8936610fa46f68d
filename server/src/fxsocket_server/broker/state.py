"""What a simulated account is opened with, and all that it holds between two inputs."""

from msgspec import Struct

from fxsocket_server.model.commission import CommissionDeal
from fxsocket_server.model.enums import (
    FreeMarginMode,
    MarginMode,
    Platform,
    Side,
    StopOutMode,
)
from fxsocket_server.model.facts import OrderFact, PositionFact, Quote
from fxsocket_server.model.server_time import NEW_YORK_CLOSE, ServerZone

# Orders and deals are numbered apart, as on a real server; apart enough to tell them at a glance.
FIRST_ORDER_TICKET = 1_000_001
FIRST_DEAL_TICKET = 5_000_001


class AccountTerms(Struct, frozen=True, kw_only=True):
    """What the broker agreed with the account's owner.

    `stop_out_level` and `margin_call_level` are percentages times 100, or money in minor units when
    `stop_out_mode` says so; a limit of 0 is none. Without `sessions_apply` every symbol trades
    round the clock. `compensates` pays a balance that a stop out left negative back to 0. A price
    older than `quote_age_ms` is none any more, 0 for never; the end of the server's day keeps all
    markets closed for `day_end_ms`.
    """

    currency: str
    money_digits: int = 2
    leverage: int = 100
    stop_out_level: int = 0
    margin_call_level: int = 0
    limit_orders: int = 0
    zone: ServerZone = NEW_YORK_CLOSE
    sessions_apply: bool = True
    platform: Platform = Platform.MT5
    margin_mode: MarginMode = MarginMode.HEDGING
    stop_out_mode: StopOutMode = StopOutMode.PERCENT
    free_margin_mode: FreeMarginMode = FreeMarginMode.ALL_PROFIT
    limit_positions: int = 0
    fifo_close: bool = False
    hedge_prohibited: bool = False
    compensates: bool = False
    hedged_skip_stop_out: bool = False
    trade_allowed: bool = True
    expiration_min_ms: int = 0
    requote_ms: int = 3_000
    quote_age_ms: int = 0
    day_end_ms: int = 0

    @property
    def hedges(self) -> bool:
        """Whether a symbol may have several positions, in both directions."""
        return self.margin_mode is MarginMode.HEDGING

    @property
    def is_mt4(self) -> bool:
        """Whether MetaTrader 4's rules hold."""
        return self.platform is Platform.MT4


class Offer(Struct, frozen=True):
    """A price that the dealer named in a requote, and until when it holds."""

    symbol: str
    side: Side
    price: int
    until_ms: int


class PeriodDeal(Struct, frozen=True):
    """A deal whose commission is taken at the end of its day or month."""

    symbol: str
    deal: CommissionDeal


class BrokerState(Struct, frozen=True, kw_only=True):
    """All that decides an account's future: a broker made of it goes on as if never interrupted.

    `orders` and `positions` are the open ones, by ticket. `rollover_ms` is the server midnight
    that comes next, 0 before the first input.
    """

    time_ms: int = 0
    balance: int = 0
    credit: int = 0
    next_ticket: int = FIRST_ORDER_TICKET
    next_deal_ticket: int = FIRST_DEAL_TICKET
    quotes: tuple[Quote, ...] = ()
    orders: tuple[OrderFact, ...] = ()
    positions: tuple[PositionFact, ...] = ()
    rollover_ms: int = 0
    offers: tuple[Offer, ...] = ()
    day_deals: tuple[PeriodDeal, ...] = ()
    month_deals: tuple[PeriodDeal, ...] = ()
