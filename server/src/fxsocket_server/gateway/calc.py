"""Margin and profit of an order that nobody places: OrderCalcMargin and OrderCalcProfit."""

from msgspec import Struct

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.requests import check_price, check_volume, known_symbol
from fxsocket_server.model.enums import OrderType, Side
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.units import POWERS


class MarginView(Struct, frozen=True):
    """Answer of GET /calc/margin."""

    margin: float
    currency: str


class ProfitView(Struct, frozen=True):
    """Answer of GET /calc/profit."""

    profit: float
    currency: str


async def margin_of(
    lane: Lane, symbol: str, type_: OrderType, lots: float, price: float | None
) -> MarginView:
    """Margin of an order on its own, by default at the price at which it would deal now."""
    spec = known_symbol(lane.connector.specs(), symbol, "?symbol")
    volume = check_volume(spec, lots, pointer="?volume")
    points = _market_price(lane, spec, type_) if price is None else _price(spec, "price", price)
    margin = await lane.connector.order_margin(spec.symbol, type_, volume, points)
    if margin is None:
        raise _no_rate(lane, spec)
    return MarginView(margin / POWERS[lane.account.money_digits], lane.account.currency)


async def profit_of(
    lane: Lane, symbol: str, side: Side, lots: float, open_price: float, close_price: float
) -> ProfitView:
    """Profit of a volume opened at one price and closed at another."""
    spec = known_symbol(lane.connector.specs(), symbol, "?symbol")
    volume = check_volume(spec, lots, pointer="?volume")
    opened = _price(spec, "open_price", open_price)
    closed = _price(spec, "close_price", close_price)
    profit = await lane.connector.order_profit(spec.symbol, side, volume, opened, closed)
    if profit is None:
        raise _no_rate(lane, spec)
    return ProfitView(profit / POWERS[lane.account.money_digits], lane.account.currency)


def _market_price(lane: Lane, spec: SymbolSpec, type_: OrderType) -> int:
    quote = lane.connector.quote(spec.symbol)
    if quote is None:
        raise Problem("price_off", f"{spec.symbol} has no price yet; send price", pointer="?price")
    return quote.ask if type_.is_buy else quote.bid


def _price(spec: SymbolSpec, name: str, value: float) -> int:
    points = check_price(name, value, spec.digits, "invalid_price", pointer="?" + name)
    if points is None:
        raise Problem("invalid_price", f"{name} must be a price above 0", pointer="?" + name)
    return points


def _no_rate(lane: Lane, spec: SymbolSpec) -> Problem:
    return Problem(
        "price_off",
        f"no rate converts {spec.symbol} to {lane.account.currency} yet; ask again when its "
        "symbols have prices",
    )
