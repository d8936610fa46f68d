"""What a simulated account is opened with, and all that it holds between two inputs."""

from msgspec import Struct

from fxsocket_server.model.facts import OrderFact, PositionFact, Quote
from fxsocket_server.model.server_time import NEW_YORK_CLOSE, ServerZone

# Orders and deals are numbered apart, as on a real server; apart enough to tell them at a glance.
FIRST_ORDER_TICKET = 1_000_001
FIRST_DEAL_TICKET = 5_000_001


class AccountTerms(Struct, frozen=True, kw_only=True):
    """What the broker agreed with the account's owner.

    `stop_out_level` and `margin_call_level` are percentages times 100; `limit_orders` is how many
    pending orders may rest, 0 any number. Without `sessions_apply` every symbol trades round the
    clock.
    """

    currency: str
    money_digits: int = 2
    leverage: int = 100
    stop_out_level: int = 0
    margin_call_level: int = 0
    limit_orders: int = 0
    zone: ServerZone = NEW_YORK_CLOSE
    sessions_apply: bool = True


class BrokerState(Struct, frozen=True, kw_only=True):
    """All that decides an account's future: a broker made of it goes on as if never interrupted.

    `orders` and `positions` are the open ones, by ticket.
    """

    time_ms: int = 0
    balance: int = 0
    credit: int = 0
    next_ticket: int = FIRST_ORDER_TICKET
    next_deal_ticket: int = FIRST_DEAL_TICKET
    quotes: tuple[Quote, ...] = ()
    orders: tuple[OrderFact, ...] = ()
    positions: tuple[PositionFact, ...] = ()
