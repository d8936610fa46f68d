"""The trips of the broker bench on nautilus_trader: a strategy that sees every quote."""

from decimal import Decimal
from typing import Any

from _broker_run import POINT, SIZE, UNITS, arguments, report, timed, trips
from nautilus_trader.backtest.engine import (  # type: ignore[import-not-found]
    BacktestEngine,
    BacktestEngineConfig,
)
from nautilus_trader.config import LoggingConfig  # type: ignore[import-not-found]
from nautilus_trader.model.currencies import USD  # type: ignore[import-not-found]
from nautilus_trader.model.data import QuoteTick  # type: ignore[import-not-found]
from nautilus_trader.model.enums import (  # type: ignore[import-not-found]
    AccountType,
    OmsType,
    OrderSide,
)
from nautilus_trader.model.identifiers import Venue  # type: ignore[import-not-found]
from nautilus_trader.model.instruments import CurrencyPair  # type: ignore[import-not-found]
from nautilus_trader.model.objects import (  # type: ignore[import-not-found]
    Money,
    Quantity,
)
from nautilus_trader.test_kit.providers import (  # type: ignore[import-not-found]
    TestInstrumentProvider,
)
from nautilus_trader.trading.strategy import Strategy  # type: ignore[import-not-found]

BALANCE = 1_000_000


class Trips(Strategy):  # type: ignore[misc]
    """Buys, and sells again later, by the number of the tick."""

    def __init__(self, pair: CurrencyPair, count: int) -> None:
        super().__init__()
        self.pair = pair
        self.plan = trips(count)
        self.due, self.buys = next(self.plan)
        self.seen = 0

    def on_start(self) -> None:
        """Ask for the quotes."""
        self.subscribe_quote_ticks(self.pair.id)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Act when it is time."""
        if self.seen == self.due:
            side = OrderSide.BUY if self.buys else OrderSide.SELL
            amount = Quantity.from_int(UNITS)
            self.submit_order(self.order_factory.market(self.pair.id, side, amount))
            self.due, self.buys = next(self.plan, (-1, False))
        self.seen += 1


def free_of_charge(pair: CurrencyPair) -> CurrencyPair:
    """The same pair without fees."""
    fields = CurrencyPair.to_dict(pair) | {"maker_fee": "0", "taker_fee": "0"}
    return CurrencyPair.from_dict(fields)


def quotes(pair: CurrencyPair, times: list[int], bids: list[int], asks: list[int]) -> list[Any]:
    """Ticks as nautilus_trader's own objects."""
    size = Quantity.from_int(SIZE)
    price = {points: pair.make_price(points / POINT) for points in {*bids, *asks}}
    return [
        QuoteTick(pair.id, price[bid], price[ask], size, size, moment, moment)
        for moment, bid, ask in zip(
            (time_ms * 1_000_000 for time_ms in times), bids, asks, strict=True
        )
    ]


def main() -> None:
    """Build the engine and its quotes, then measure the run alone."""
    (times, bids, asks), count = arguments()
    pair = free_of_charge(TestInstrumentProvider.default_fx_ccy("EUR/USD"))
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        venue=Venue("SIM"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USD,
        starting_balances=[Money(BALANCE, USD)],
        default_leverage=Decimal(100),
    )
    engine.add_instrument(pair)
    engine.add_data(quotes(pair, times, bids, asks))
    engine.add_strategy(Trips(pair, count))
    seconds = timed(engine.run)
    money = engine.cache.account_for_venue(Venue("SIM")).balance_total(USD)
    report(
        "nautilus_trader", "nautilus_trader", count, seconds, 100 * (money.as_double() - BALANCE)
    )


if __name__ == "__main__":
    main()
