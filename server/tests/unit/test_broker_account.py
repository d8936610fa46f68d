"""The account's figures, conversion of profit and margin, snapshots, lookups."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.broker.rates import find_route
from fxsocket_server.broker.state import BrokerState
from fxsocket_server.model.account import AccountFigures
from fxsocket_server.model.enums import Action, DealType, Filling, OrderStatus, OrderType
from fxsocket_server.model.facts import BalanceFact, DealFact, Quote, TradeRequest
from fxsocket_server.model.retcode import SUCCESS
from fxsocket_server.model.units import LOT

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)
NOW = 1_736_337_600_000  # Wednesday 2025-01-08 12:00 UTC
QUOTES = {
    "EURUSD": (108_340, 108_348),
    "GBPUSD": (127_000, 127_010),
    "USDJPY": (151_000, 151_009),
    "USDCHF": (88_500, 88_512),
    "EURJPY": (163_600, 163_614),
    "EURGBP": (85_300, 85_311),
    "XAUUSD": (265_000, 265_012),
    "BTCUSD": (6_500_000, 6_500_309),
    "WS30": (42_000, 42_002),
}


def broker(currency="USD", deposit=10_000_000):
    """An account with every symbol of QUOTES priced."""
    made = Broker(PROFILE.terms(currency=currency), PROFILE.symbols)
    made.deposit(deposit, NOW)
    for symbol, (bid, ask) in QUOTES.items():
        made.on_tick(symbol, NOW, bid, ask)
    return made


def empty(state=None):
    """An account as its state says, without a price or money when there is none."""
    return Broker(PROFILE.terms(), PROFILE.symbols, state)


def send(made, action, symbol, order_type, **fields):
    filling = Filling.RETURN if action is Action.PENDING else Filling.FOK
    base = {"symbol": symbol, "type": order_type, "volume": LOT, "filling": filling}
    request = TradeRequest(action=action, command_id="c", deadline_ms=0, **(base | fields))
    report = made.request(request, NOW)
    assert report.retcode in SUCCESS, report.comment
    return report.order_ticket


def opened(made, symbol, order_type=OrderType.BUY, **fields):
    return send(made, Action.DEAL, symbol, order_type, **fields)


# --- balance ---------------------------------------------------------------------------------


def test_a_deposit_is_a_balance_deal():
    made = empty()
    deal, balance = made.deposit(1_000_000, NOW, "welcome")
    assert (deal.type, deal.profit, deal.comment) == (DealType.BALANCE, 1_000_000, "welcome")
    assert (deal.symbol, deal.volume, deal.entry, deal.order_ticket) == (None, 0, None, None)
    assert balance == BalanceFact(balance=1_000_000, credit=0)
    second, balance = made.deposit(-250_000, NOW)
    assert (second.ticket, balance.balance) == (deal.ticket + 1, 750_000)


def test_an_empty_account():
    made = broker(deposit=5_000)
    assert made.account_figures() == AccountFigures(
        balance=5_000, credit=0, equity=5_000, profit=0, margin=0, free_margin=5_000
    )


def test_credit_counts_in_equity():
    state = BrokerState(balance=1_000, credit=300)
    figures = empty(state).account_figures()
    assert (figures.equity, figures.free_margin, figures.credit) == (1_300, 1_300, 300)


# --- profit and margin in the deposit currency -----------------------------------------------


@pytest.mark.parametrize(
    ("currency", "symbol", "side", "move", "profit", "margin"),
    [
        # EURUSD: profit is in the deposit currency, margin at the open price.
        ("USD", "EURUSD", "BUY", 108, 10_000, 108_348),
        ("USD", "EURUSD", "SELL", 108, -11_600, 108_340),
        # USDJPY on USD: the pair is the rate, profit converts at the close price.
        ("USD", "USDJPY", "BUY", 1_009, 65_786, 100_000),  # 100,000 JPY / 152.009
        ("USD", "USDJPY", "SELL", 1_000, -66_378, 100_000),  # -100,900 JPY / 152.009
        # EURJPY on USD: JPY by USDJPY (a buy at its Bid, a sell at its Ask), EUR by EURUSD.
        ("USD", "EURJPY", "BUY", 1_014, 66_225, 108_348),  # 100,000 JPY / 151.000
        ("USD", "EURJPY", "SELL", 1_000, -67_148, 108_340),  # -101,400 JPY / 151.009
        # EURUSD on EUR: the pair read backwards; margin needs no rate.
        ("EUR", "EURUSD", "BUY", 108, 9_221, 100_000),  # 100 USD / 1.08448
        ("EUR", "EURUSD", "SELL", 108, -10_696, 100_000),  # -116 USD / 1.08456
        # Gold on EUR: not Forex, so a profit converts at the Bid, a loss at the Ask of USD -> EUR.
        ("EUR", "XAUUSD", "BUY", 1_012, 92_295, 244_611),  # 1,000 USD / 1.08348; 2650.12 / Bid
        ("EUR", "XAUUSD", "SELL", 1_000, -93_410, 244_582),  # -1,012 USD / 1.08340; 2650 / Ask
        # A deposit in yen has no decimals.
        ("JPY", "EURUSD", "BUY", 108, 15_101, 163_614),  # 100 USD x 151.009
        ("JPY", "USDJPY", "BUY", 1_009, 100_000, 151_009),
        # An index in points, 2 % of its value; 33 % of a bitcoin.
        ("USD", "WS30", "BUY", 102, 10_000, 84_004),
        ("USD", "BTCUSD", "SELL", 0, -309, 2_145_000),
    ],
)
def test_profit_and_margin(currency, symbol, side, move, profit, margin):
    made = broker(currency)
    ticket = opened(made, symbol, OrderType(side))
    bid, ask = QUOTES[symbol]
    made.on_tick(symbol, NOW, bid + move, ask + move)
    figures = made.account_figures()
    assert (made.position_profit(ticket), figures.margin) == (profit, margin)
    assert figures.profit == profit
    assert figures.equity == figures.balance + profit
    assert figures.free_margin == figures.equity - margin


def test_a_closing_deal_books_what_the_position_showed():
    for currency in ("USD", "EUR", "JPY", "GBP", "CHF"):
        for symbol, (bid, ask) in QUOTES.items():
            made = broker(currency)
            ticket = opened(made, symbol)
            made.on_tick(symbol, NOW, bid + bid // 97, ask + bid // 97)
            shown = made.position_profit(ticket)
            opened(made, symbol, OrderType.SELL, position_ticket=ticket)
            assert made.snapshot().balance == 10_000_000 + shown


def test_two_steps_go_through_the_dollar():
    """GBP from CHF: no pair of both, so USDCHF backwards and GBPUSD backwards."""
    made = broker("GBP")
    ticket = opened(made, "USDCHF")
    made.on_tick("USDCHF", NOW, 89_012, 89_024)
    # 500 CHF, a buy: at USDCHF's Bid, then at GBPUSD's Bid.
    assert made.position_profit(ticket) == round(500_00 / 0.89012 / 1.27000)


def test_floating_conversion_follows_the_rate():
    made = broker()
    ticket = opened(made, "EURJPY")
    made.on_tick("EURJPY", NOW, 164_614, 164_628)
    assert made.position_profit(ticket) == 66_225
    made.on_tick("USDJPY", NOW, 100_000, 100_009)
    assert made.position_profit(ticket) == made.account_figures().profit == 100_000


def test_positions_of_many_symbols_add_up():
    made = broker()
    tickets = [
        opened(made, symbol, order_type, volume=LOT // 10)
        for symbol in QUOTES
        for order_type in (OrderType.BUY, OrderType.SELL)
    ]
    figures = made.account_figures()
    assert figures.profit == sum(map(made.position_profit, tickets))


def test_volumes_that_leave_fractions_of_a_cent_are_rounded_one_by_one():
    specs = dict(PROFILE.symbols)
    specs["EURUSD"] = replace(specs["EURUSD"], volume_step=LOT // 1000, volume_min=LOT // 1000)
    made = Broker(PROFILE.terms(), specs)
    made.deposit(1_000_000, NOW)
    made.on_tick("EURUSD", NOW, 108_340, 108_345)
    tickets = [opened(made, "EURUSD", volume=LOT // 1000) for _ in range(10)]
    # Each lost 0.5 cent: 108.345 rounds to 108.35, 108.340 to 108.34, a cent a position.
    assert [made.position_profit(ticket) for ticket in tickets] == [-1] * 10
    assert made.account_figures().profit == -10
    opened(made, "EURUSD", OrderType.SELL, position_ticket=tickets[0], volume=LOT // 1000)
    assert made.account_figures().profit == -9


def test_hedged_positions_cost_the_hedged_margin():
    made = broker()
    opened(made, "EURUSD", OrderType.BUY, volume=2 * LOT)
    opened(made, "EURUSD", OrderType.SELL)
    # Uncovered: one lot at the mean price of the buys. Covered: one lot at half the contract, at
    # the mean price of all three.
    assert made.account_figures().margin == 108_348 + round(50_000 * (2 * 1.08348 + 1.0834) / 3)


def test_swap_leaves_a_position_with_the_volume_that_is_closed():
    state = broker().snapshot()
    made = empty(state)
    ticket = opened(made, "EURUSD", volume=3 * LOT)
    state = made.snapshot()
    charged = replace(state.positions[0], swap=-1_000)
    made = empty(replace(state, positions=(charged,)))
    assert made.position_profit(ticket) == -2_400
    assert made.account_figures().profit == -3_400
    for rest in (-667, 0):
        volume = LOT if rest else 2 * LOT
        opened(made, "EURUSD", OrderType.SELL, position_ticket=ticket, volume=volume)
        assert made.account_figures().profit == (rest - 1_600 if rest else 0)
    assert made.snapshot().balance == state.balance - 3_400


def test_tick_value_converts_a_profit():
    made = broker()
    numerator, denominator = made.tick_value("EURUSD")
    assert numerator / denominator == 1
    numerator, denominator = made.tick_value("EURJPY")
    assert numerator / denominator == pytest.approx(100 / 151.009, abs=1e-15)
    assert empty().tick_value("EURJPY") is None


def test_a_rate_is_searched_by_suffix_then_alphabet():
    books = dict(broker()._ledger.books)
    euro = books["EURUSD"]

    class Quoted:
        def __init__(self, symbol: str) -> None:
            self.spec = replace(euro.spec, symbol=symbol)
            self.bid, self.ask = 1, 2
            self.box = (1, 1, 2, 2)

    quoted = [Quoted("EURUSD.x"), Quoted("EURUSD.b"), Quoted("EURUSD.a")]
    traded = replace(books["EURJPY"].spec, symbol="EURJPY.b")
    plain = books["EURJPY"].spec
    assert find_route(quoted, "EUR", "USD", traded).step_of(quoted[1])
    assert find_route(quoted, "EUR", "USD", plain).step_of(quoted[2])
    assert find_route(quoted, "EUR", "SEK", plain).fault() == "no symbol converts EUR to SEK"
    assert find_route(quoted, "EUR", "SEK", plain).rate(at_ask=True) is None


# --- snapshots -------------------------------------------------------------------------------


def busy():
    made = broker()
    opened(made, "EURUSD", sl=107_000, tp=109_000)
    opened(made, "USDJPY", OrderType.SELL)
    send(made, Action.PENDING, "EURUSD", OrderType.BUY_LIMIT, price=108_000)
    send(
        made, Action.PENDING, "GBPUSD", OrderType.BUY_STOP_LIMIT, price=127_500, stop_limit=127_200
    )
    return made


def test_a_snapshot_is_plain_data_and_restores_itself():
    state = busy().snapshot()
    assert (len(state.positions), len(state.orders), len(state.quotes)) == (2, 2, len(QUOTES))
    packed = msgspec.msgpack.encode(state)
    assert msgspec.msgpack.decode(packed, type=BrokerState) == state
    again = Broker.restore(PROFILE.terms(), PROFILE.symbols, state)
    assert again.snapshot() == state
    assert again.account_figures() == busy().account_figures()


def test_rebuilding_skips_what_is_done():
    made = busy()
    ticket = made.snapshot().positions[0].ticket
    state = made.snapshot()
    closed = replace(state.positions[0], volume=0)
    done = replace(state.orders[0], ticket=7, status=OrderStatus.CANCELED)
    rebuilt = Broker.rebuild(
        PROFILE.terms(),
        PROFILE.symbols,
        balance=state.balance,
        credit=state.credit,
        next_ticket=state.next_ticket,
        next_deal_ticket=state.next_deal_ticket,
        quotes=state.quotes,
        orders=[*state.orders, done],
        positions=[replace(closed, ticket=8), *state.positions],
        time_ms=state.time_ms,
    )
    assert rebuilt.snapshot() == state
    assert rebuilt.position_profit(ticket) == made.position_profit(ticket)


def test_a_stop_limit_order_without_its_limit_left_is_a_limit_order():
    state = busy().snapshot()
    order = replace(state.orders[1], price=127_005, stop_limit=None)
    made = empty(replace(state, orders=(order,)))
    assert made.snapshot().orders[0].type is OrderType.BUY_LIMIT
    fired = made.on_tick("GBPUSD", NOW + 1, 126_990, 127_000)
    assert fired[0].status is OrderStatus.FILLED


def test_an_open_ticket_needs_its_symbol():
    state = busy().snapshot()
    specs = dict(PROFILE.symbols)
    del specs["USDJPY"]
    with pytest.raises(ValueError, match=r"USDJPY of ticket \d+ is not in the broker profile"):
        Broker(PROFILE.terms(), specs, state)
    specs["USDJPY"] = replace(PROFILE.symbols["USDJPY"], digits=4)
    with pytest.raises(ValueError, match=r"has 3 digits, but the broker profile gives USDJPY 4"):
        Broker(PROFILE.terms(), specs, state)


def test_what_a_terminal_shows():
    made = busy()
    shown, state = made.terminal_snapshot(), made.snapshot()
    assert (shown.orders, shown.positions) == (state.orders, state.positions)
    assert (shown.balance, shown.credit, shown.time_ms) == (state.balance, 0, NOW)


def test_time_is_that_of_the_newest_input():
    made = broker()
    made.on_tick("EURUSD", NOW + 5, 108_340, 108_348)
    assert made.snapshot().time_ms == NOW + 5
    made.deposit(1, NOW + 9)
    assert made.snapshot().time_ms == NOW + 9
    assert Broker(PROFILE.terms(), {}).snapshot().time_ms == 0


def test_quotes():
    made = broker()
    assert made.quote("EURUSD") == Quote("EURUSD", NOW, 108_340, 108_348)
    assert made.quote("ETHUSD") is None
    with pytest.raises(KeyError):
        made.quote("NOPE")


# --- lookup ----------------------------------------------------------------------------------


def test_lookup_finds_resting_and_done_orders_by_the_start_of_their_comment():
    made = broker()
    done = opened(made, "EURUSD", comment="~AAAAAAAAAA x")
    resting = send(
        made, Action.PENDING, "EURUSD", OrderType.BUY_LIMIT, price=1, comment="~AAAAAAAAAA y"
    )
    opened(made, "EURUSD", comment="x ~AAAAAAAAAA")
    assert [order.ticket for order in made.lookup("~AAAAAAAAAA ")] == [done, resting]
    assert made.lookup("~B") == ()


def test_lookup_forgets_after_a_thousand_done_orders():
    made = broker()
    opened(made, "EURUSD", volume=LOT // 100, comment="~first")
    for _ in range(999):
        opened(made, "WS30", volume=LOT // 100)
    assert len(made.lookup("~first")) == 1
    opened(made, "WS30", volume=LOT // 100)
    assert made.lookup("~first") == ()


def test_deal_tickets_are_numbered_apart():
    made = broker()
    first, second = (
        next(fact for fact in report.facts if isinstance(fact, DealFact))
        for report in (
            made.request(
                TradeRequest(
                    action=Action.DEAL,
                    command_id="c",
                    deadline_ms=0,
                    symbol="EURUSD",
                    volume=LOT,
                ),
                NOW,
            )
            for _ in range(2)
        )
    )
    assert second.ticket == first.ticket + 1
    assert first.ticket != first.order_ticket
