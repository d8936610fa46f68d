"""Every other resource: what is sent, and what is made of the answer."""

import sys
import types
from datetime import UTC, datetime

import httpx2
import pytest

from fxsocket import (
    Account,
    AccountSummary,
    Candles,
    ConfigError,
    ConnectionLost,
    ProtocolError,
    errors,
)

DROP = httpx2.ReadError("reset")
POSITION = {
    "id": "pos_1", "ticket": 7, "account_id": "acc_1", "symbol": "EURUSD", "type": "BUY",
    "volume": 0.1, "open_price": 1.0834, "current_price": 1.0835, "sl": None, "tp": 1.095,
    "swap": 0, "profit": 1, "commission": -0.7, "magic": 0, "comment": "",
    "opened_at": "2026-11-22T10:00:00.000Z", "order_id": "ord_1", "status": "OPEN",
}  # fmt: skip
CLOSED = {
    "id": "pos_1", "order_id": "ord_2", "status": "CLOSED", "closed_volume": 0.1,
    "remaining_volume": 0, "close_price": 1.0835, "profit": 1, "swap": 0, "commission": 0,
    "already": True,
}  # fmt: skip
ACCOUNT = {
    "id": "acc_1", "name": "Demo", "platform": "MT5", "kind": "SIM", "broker": "Sim", "server": "S",
    "login": 1000, "mode": "DEMO", "margin_mode": "HEDGING", "currency": "USD", "leverage": 100,
    "balance": 10000, "credit": 0, "equity": 10001.5, "profit": 1.5, "margin": 108.34,
    "free_margin": 9893.16, "margin_level": 9231.6, "stop_out_level": 50, "margin_call_level": 100,
    "trade_allowed": True, "status": "connected", "server_time": "2026-11-22T12:00:00.000",
    "server_utc_offset_s": 7200,
}  # fmt: skip
SYMBOL = {
    "symbol": "EURUSD", "description": "Euro", "digits": 5, "point": 1e-05, "contract_size": 100000,
    "currency_base": "EUR", "currency_profit": "USD", "currency_margin": "EUR", "tick_size": 1e-05,
    "tick_value": 1, "volume_min": 0.01, "volume_max": 500, "volume_step": 0.01, "volume_limit": 0,
    "stops_level": 0, "freeze_level": 0, "execution_mode": "MARKET", "filling_modes": ["IOC"],
    "order_types": ["BUY"], "trade_mode": "FULL", "calc_mode": "FOREX", "margin_initial": 0,
    "margin_hedged": 50000, "swap_mode": "POINTS", "swap_long": -7.1, "swap_short": 2,
    "swap_triple_day": "WEDNESDAY", "spread": 3, "spread_floating": True, "bid": 1.0834,
    "ask": 1.08343, "sessions": {"trade": [], "quote": []}, "market_open": True, "next_open": None,
    "next_close": "2026-11-27T22:00:00.000Z",
}  # fmt: skip
QUOTE = {
    "symbol": "EURUSD", "bid": 1.0834, "ask": 1.08343, "last": None, "volume": None,
    "timestamp": "2026-11-22T10:00:00.250Z", "spread": 3, "age_ms": 12, "market_open": True,
    "stale": False,
}  # fmt: skip
CANDLE = {
    "time": "2026-11-22T10:00:00.000Z", "open": 1, "high": 1.2, "low": 0.9, "close": 1.1,
    "tick_volume": 40, "real_volume": 0, "spread": 3,
}  # fmt: skip
DEAL = {
    "id": "deal_1", "ticket": 9, "order_id": None, "position_id": None, "symbol": None,
    "type": "BALANCE", "entry": None, "volume": 0, "price": None, "profit": 10000, "swap": 0,
    "commission": 0, "fee": 0, "magic": 0, "comment": "", "reason": None,
    "time": "2026-11-22T10:00:00.000Z",
}  # fmt: skip


def test_positions(rest, reply):
    rest.answers(reply([POSITION]), reply(POSITION))
    (position,) = rest.call(lambda c: c.positions.list())
    assert position == rest.call(lambda c: c.positions.get("pos_1"))
    assert (position.profit, position.sl, position.opened_at.tzinfo) == (1.0, None, UTC)
    assert rest.sent == ["GET /v1/positions", "GET /v1/positions/pos_1"]


def test_moving_the_stops(rest, reply):
    rest.answers(reply(POSITION))
    rest.call(lambda c: c.positions.modify("pos_1", sl=None))
    assert (rest.sent, rest.bodies()) == (["PATCH /v1/positions/pos_1"], [{"sl": None}])
    assert rest.header("Idempotency-Key") == ["id1"]


def test_closing_a_position(rest, reply):
    rest.answers(reply(CLOSED), reply(CLOSED))
    assert rest.call(lambda c: c.positions.close("pos_1")).already is True
    rest.call(lambda c: c.positions.close("pos_1", volume=0.05, deviation=3))
    assert rest.sent == [
        "DELETE /v1/positions/pos_1",
        "DELETE /v1/positions/pos_1?volume=0.05&deviation=3",
    ]
    assert rest.header("Idempotency-Key") == ["id1", "id2"]


def test_account(rest, reply):
    rest.answers(reply(ACCOUNT), reply([ACCOUNT | {"error": None}]))
    account = rest.call(lambda c: c.account.get(), account_id="acc_1")
    assert isinstance(account, Account)
    assert (account.equity, account.server_utc_offset_s) == (10001.5, 7200)
    (summary,) = rest.call(lambda c: c.accounts.list())
    assert isinstance(summary, AccountSummary)
    assert rest.sent == ["GET /v1/account", "GET /v1/accounts"]
    assert rest.header("X-Account-Id") == ["acc_1", None]


def test_symbols(rest, reply):
    rest.answers(reply([SYMBOL]), reply(SYMBOL))
    (symbol,) = rest.call(lambda c: c.symbols.list(group="*USD*", visible=True))
    assert symbol == rest.call(lambda c: c.symbols.get("US/30#"))
    assert (symbol.point, symbol.filling_modes) == (1e-05, ("IOC",))
    assert rest.sent == [
        "GET /v1/symbols?group=%2AUSD%2A&visible=true",
        "GET /v1/symbols/US%2F30%23",
    ]


@pytest.mark.parametrize("whole", [lambda rows: rows, lambda rows: {"data": rows}])
def test_quotes(rest, reply, whole):
    rest.answers(reply(QUOTE), reply(whole([QUOTE, QUOTE | {"symbol": "GBPUSD"}])))
    assert rest.call(lambda c: c.quotes.get("EURUSD")).spread == 3
    quotes = rest.call(lambda c: c.quotes.list(["EURUSD", "GBPUSD"]))
    assert [quote.symbol for quote in quotes] == ["EURUSD", "GBPUSD"]
    assert rest.sent == ["GET /v1/quotes/EURUSD", "GET /v1/quotes?symbols=EURUSD%2CGBPUSD"]


def test_candles(rest, reply):
    later = CANDLE | {"time": "2026-11-22T11:00:00.000Z"}
    rest.answers(reply({"data": [CANDLE], "next_cursor": "c2", "complete": False}))
    page = rest.call(lambda c: c.candles.list("USDJPY", "H1", "2026-01-01", None, 1))
    assert isinstance(page, Candles)
    assert (page.complete, page[0].close, page.next_cursor) == (False, 1.1, "c2")
    rest.answers(
        reply({"data": [CANDLE], "next_cursor": "c2"}),
        reply({"data": [later], "next_cursor": None}),
    )
    candles = rest.call(lambda c: c.candles.iter("USDJPY", "H1", limit=1))
    assert [candle.time.hour for candle in candles] == [10, 11]
    assert rest.sent == [
        "GET /v1/candles?symbol=USDJPY&timeframe=H1&from=2026-01-01&limit=1",
        "GET /v1/candles?symbol=USDJPY&timeframe=H1&limit=1",
        "GET /v1/candles?symbol=USDJPY&timeframe=H1&limit=1&cursor=c2",
    ]


def test_candles_as_columns_and_as_a_frame(rest, reply, monkeypatch):
    rest.answers(reply({"data": [CANDLE, CANDLE], "next_cursor": None}))
    page = rest.call(lambda c: c.candles.list("USDJPY", "H1"))
    columns = page.columns()
    assert columns["time"] == [datetime(2026, 11, 22, 10, tzinfo=UTC)] * 2
    assert columns["close"] == [1.1, 1.1]
    assert list(columns) == list(CANDLE)

    class Frame:
        def __init__(self, data):
            self.data = data

        def set_index(self, name):
            return (name, self.data)

    fake = types.SimpleNamespace(DataFrame=Frame)
    monkeypatch.setitem(sys.modules, "pandas", fake)
    assert page.to_pandas() == ("time", columns)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"fxsocket\[pandas\]"):
        page.to_pandas()


def test_deals(rest, reply):
    rest.answers(reply({"data": [DEAL], "next_cursor": "c2"}))
    (deal,) = rest.call(lambda c: c.deals.list(symbol="EURUSD", magic=7, limit=1))
    assert (deal.type, deal.profit, deal.entry) == ("BALANCE", 10000.0, None)
    rest.answers(
        reply({"data": [DEAL], "next_cursor": "c2"}),
        reply({"data": [DEAL | {"id": "deal_2"}], "next_cursor": None}),
    )
    deals = rest.call(lambda c: c.deals.iter(from_="2026-01-01", to="2026-02-01"))
    assert [deal.id for deal in deals] == ["deal_1", "deal_2"]
    assert rest.sent == [
        "GET /v1/history/deals?symbol=EURUSD&magic=7&limit=1",
        "GET /v1/history/deals?from=2026-01-01&to=2026-02-01",
        "GET /v1/history/deals?from=2026-01-01&to=2026-02-01&cursor=c2",
    ]


def test_events(rest, reply, order_row):
    rows = [
        {"seq": 8, "type": "order.filled", "time": "2026-11-22T10:00:00.000Z",
         "order": order_row()},
        {"seq": 9, "type": "deal.added", "time": "2026-11-22T10:00:00.000Z", "deal": DEAL},
        {"seq": 10, "type": "position.open", "time": "2026-11-22T10:00:00.001Z",
         "position": POSITION, "deal": "deal_1"},
    ]  # fmt: skip
    rest.answers(reply({"epoch": "e1", "head": 10, "data": rows, "next_cursor": None}))
    page = rest.call(lambda c: c.events.list(after=7, epoch="e1", limit=5, wait_ms=30_000))
    filled, added, opened = page
    assert (page.epoch, page.head, filled.seq) == ("e1", 10, 8)
    assert filled.order.price == 1.0834
    assert (added.deal.id, added.order) == ("deal_1", None)
    assert (opened.position.id, opened.deal, opened.raw["deal"]) == ("pos_1", None, "deal_1")
    assert opened.time == datetime(2026, 11, 22, 10, 0, 0, 1000, UTC)
    assert rest.sent == ["GET /v1/events?after=7&epoch=e1&limit=5&wait_ms=30000"]
    # The wait is added to the attempt's patience, else every quiet wait would be a timeout.
    assert rest.header("X-Request-Timeout-Ms") == ["40000"]


def test_halting_an_account(rest, reply):
    rest.answers(reply({**ACCOUNT, "trade_allowed": False}), reply(ACCOUNT))
    assert not rest.call(lambda c: c.accounts.halt("acc_1", "news")).trade_allowed
    assert rest.call(lambda c: c.accounts.resume("acc_1", "over")).trade_allowed
    assert rest.sent == ["POST /v1/accounts/acc_1/halt", "POST /v1/accounts/acc_1/resume"]
    assert rest.bodies() == [{"reason": "news"}, {"reason": "over"}]


SUMMARY = {
    "id": "acc_2", "name": "Grid", "broker": "Sim", "server": "S", "login": 7, "platform": "MT5",
    "kind": "SIM", "mode": "DEMO", "currency": "USD", "leverage": 100, "status": "connected",
    "error": None, "is_default": False, "driver": None, "profile": "ecn", "seed": 7,
    "created_at": "2026-11-22T10:00:00.000Z",
}  # fmt: skip


def test_accounts_are_made_and_a_retry_carries_the_same_key(rest, reply):
    rest.answers(DROP, reply({**SUMMARY, "connector_token": "fxc_canary"}))
    made = rest.call(lambda c: c.accounts.create("SIM", name="Grid", balance=50_000, seed=7))
    assert (made.id, made.seed, made.connector_token) == ("acc_2", 7, "fxc_canary")
    assert "canary" not in repr(made)
    assert rest.sent == ["POST /v1/accounts"] * 2
    assert rest.bodies() == [{"kind": "SIM", "name": "Grid", "balance": 50_000, "seed": 7}] * 2
    first, second = rest.header("Idempotency-Key")
    assert first == second is not None


def test_accounts_are_changed_stopped_and_removed(rest, reply):
    rest.answers(*[reply(SUMMARY)] * 5)
    rest.call(lambda c: c.accounts.update("acc_2", name="Grid", is_default=True))
    rest.call(lambda c: c.accounts.update("acc_2", password=None))
    rest.call(lambda c: c.accounts.disconnect("acc_2"))
    rest.call(lambda c: c.accounts.connect("acc_2"))
    assert rest.call(lambda c: c.accounts.remove("acc_2")).profile == "ecn"
    assert rest.sent == [
        "PATCH /v1/accounts/acc_2", "PATCH /v1/accounts/acc_2",
        "POST /v1/accounts/acc_2/disconnect", "POST /v1/accounts/acc_2/connect",
        "DELETE /v1/accounts/acc_2",
    ]  # fmt: skip
    assert rest.bodies()[:2] == [{"name": "Grid", "is_default": True}, {"password": None}]
    rest.fails(ConfigError, lambda c: c.accounts.update("acc_2"))


def test_set_price(rest, reply):
    rest.answers(reply(QUOTE))
    assert rest.call(lambda c: c.sim.set_price("EURUSD", 1.0834, 1.08343)).bid == 1.0834
    assert rest.sent == ["POST /v1/sim/price"]
    assert rest.bodies() == [{"symbol": "EURUSD", "bid": 1.0834, "ask": 1.08343}]


CHECK = {
    "allowed": False, "retcode": 10019, "retcode_name": "NO_MONEY", "code": "not_enough_money",
    "comment": "free margin is 3", "margin_needed": 0, "balance": 10, "equity": 10, "profit": 0,
    "margin": 7, "free_margin": 3, "margin_level": 142.8, "currency": "USD",
}  # fmt: skip


def test_checking_an_order_asks_only(rest, reply):
    rest.answers(reply(CHECK))
    check = rest.call(lambda c: c.orders.check(symbol="EURUSD", type="BUY", volume=9, sl=None))
    assert (check.allowed, check.code, check.free_margin) == (False, "not_enough_money", 3.0)
    assert rest.sent == ["POST /v1/orders/check"]
    assert rest.bodies() == [{"symbol": "EURUSD", "type": "BUY", "volume": 9}]
    assert rest.header("Idempotency-Key") == [None]


def test_a_lost_check_is_sent_again_and_never_maybe_executed(rest, reply):
    rest.answers(ConnectionLost("x"), reply(CHECK))
    rest.call(lambda c: c.orders.check(symbol="EURUSD", type="BUY", volume=9))
    assert rest.sent == ["POST /v1/orders/check"] * 2


def test_margin_and_profit(rest, reply):
    rest.answers(reply({"margin": 108.35, "currency": "USD"}), reply({"profit": -7}))
    assert rest.call(lambda c: c.calc.margin("EURUSD", "BUY", 0.1)) == 108.35
    assert rest.call(lambda c: c.calc.profit("EURUSD", "SELL", 0.1, 1.08, 1.09)) == -7.0
    assert rest.sent == [
        "GET /v1/calc/margin?symbol=EURUSD&type=BUY&volume=0.1",
        "GET /v1/calc/profit?symbol=EURUSD&type=SELL&volume=0.1&open_price=1.08&close_price=1.09",
    ]


def test_statistics(rest, reply):
    figures = {
        "trades": 2, "wins": 1, "losses": 1, "win_rate": 50, "net_profit": 5, "gross_profit": 9,
        "gross_loss": -4, "profit_factor": 2.25, "expectancy": 2.5, "max_drawdown": 4,
        "average_hold_s": 60, "volume": 0.2, "swap": 0, "commission": -1, "fee": 0,
    }  # fmt: skip
    group = figures | {"magic": 7, "symbol": None, "comment": None}
    body = {"from": None, "to": None, "currency": "USD", "total": figures, "groups": [group]}
    rest.answers(reply(body), reply(body))
    stats = rest.call(lambda c: c.stats.get(group_by=("magic", "symbol"), from_="2026-01-01"))
    assert (stats.total.profit_factor, stats.groups[0].magic) == (2.25, 7)
    rest.call(lambda c: c.stats.get())
    assert rest.sent == ["GET /v1/stats?group_by=magic%2Csymbol&from=2026-01-01", "GET /v1/stats"]


def test_history_of_orders_and_positions(rest, reply, order_row):
    closed = POSITION | {"closed_volume": 0.1, "closed_at": "2026-11-22T10:00:00.000Z"}
    rest.answers(
        reply({"data": [order_row()], "next_cursor": "7.1"}),
        reply({"data": [closed], "next_cursor": None}),
    )
    page = rest.call(lambda c: c.orders.history(magic=7, limit=1))
    assert page.next_cursor == "7.1"
    (position,) = rest.call(lambda c: c.positions.history(symbol="EURUSD", cursor="3.4"))
    assert position.closed_at == datetime(2026, 11, 22, 10, tzinfo=UTC)
    rest.answers(
        reply({"data": [order_row()], "next_cursor": "7.1"}),
        reply({"data": [order_row()], "next_cursor": None}),
        reply({"data": [closed], "next_cursor": None}),
    )
    assert len(list(rest.call(lambda c: c.orders.iter_history(limit=1)))) == 2
    assert len(list(rest.call(lambda c: c.positions.iter_history(to="2026-02-01")))) == 1
    assert rest.sent == [
        "GET /v1/history/orders?magic=7&limit=1",
        "GET /v1/history/positions?symbol=EURUSD&cursor=3.4",
        "GET /v1/history/orders?limit=1",
        "GET /v1/history/orders?limit=1&cursor=7.1",
        "GET /v1/history/positions?to=2026-02-01",
    ]


def test_one_account(rest, reply):
    rest.answers(reply(ACCOUNT | {"error": None}))
    assert rest.call(lambda c: c.accounts.get("acc_1")).status == "connected"
    assert rest.sent == ["GET /v1/accounts/acc_1"]


def test_faults(rest, reply):
    fault = {"scenario": "requotes", "retcode": 10004, "times": None}
    answer = reply({"data": [fault], "scenarios": ["requotes"], "next_cursor": None})
    rest.answers(answer, answer, reply({"data": [], "scenarios": [], "next_cursor": None}))
    [found] = rest.call(lambda c: c.sim.faults.put("requotes", times=None, lose_reply=False)).data
    assert (found.scenario, found.retcode, found.times) == ("requotes", 10004, None)
    assert rest.call(lambda c: c.sim.faults.list()).scenarios == ["requotes"]
    assert rest.call(lambda c: c.sim.faults.clear()).data == []
    assert rest.sent == ["POST /v1/sim/faults", "GET /v1/sim/faults", "DELETE /v1/sim/faults"]
    assert rest.bodies()[0] == {"scenario": "requotes", "times": None, "lose_reply": False}
    assert "pass at least one of scenario" in str(
        rest.fails(errors.ConfigError, lambda c: c.sim.faults.put())
    )


REFUSED = {
    "type": "urn:fxsocket:error:not_enough_money", "title": "Not enough money", "status": 422,
    "code": "not_enough_money", "detail": "free margin is 3", "instance": "req_1",
    "retryable": False, "retcode": 10019, "retcode_name": "NO_MONEY",
}  # fmt: skip


def test_a_batch_of_orders(rest, reply, order_row):
    rest.answers(
        ConnectionLost("x"), reply({"results": [{"order": order_row()}, {"error": REFUSED}]})
    )
    orders = [
        {"symbol": "EURUSD", "type": "BUY", "volume": 0.1, "sl": None},
        {"symbol": "EURUSD", "type": "SELL", "volume": 9, "client_order_id": "mine"},
    ]
    placed, refused = rest.call(lambda c: c.orders.create_many(orders))
    assert (placed.order.price, placed.error) == (1.0834, None)
    assert (refused.order, refused.error.code, refused.error.retcode_name) == (
        None, "not_enough_money", "NO_MONEY",
    )  # fmt: skip
    first, again = rest.bodies()
    assert first == again  # the retry carries the same ids under the same key
    assert [order["client_order_id"] for order in first["orders"]] == ["id1", "mine"]
    assert len(set(rest.header("Idempotency-Key"))) == 1
    assert rest.sent == ["POST /v1/orders/batch"] * 2


def test_closing_by_an_opposite_position(rest, reply):
    rows = [{"position_id": n, "result": CLOSED | {"id": n}} for n in ("pos_1", "pos_2")]
    rest.answers(reply({"results": rows}))
    first, second = rest.call(lambda c: c.positions.close_by("pos_1", "pos_2"))
    assert (first.result.profit, second.position_id) == (1.0, "pos_2")
    assert rest.sent == ["POST /v1/positions/pos_1/close-by"]
    assert rest.bodies() == [{"position_id": "pos_2"}]
    assert rest.header("Idempotency-Key") == ["id1"]


def test_reversing_a_position(rest, reply, order_row):
    row = {"position_id": "pos_1", "result": CLOSED}
    rest.answers(
        reply({"results": [row], "order": order_row(), "error": None}),
        reply({"results": [row], "order": None, "error": REFUSED}),
    )
    done = rest.call(lambda c: c.positions.reverse("pos_1"))
    assert (done.order.symbol, done.error, done.results[0].result.already) == (
        "EURUSD", None, True,
    )  # fmt: skip
    half = rest.call(lambda c: c.positions.reverse("pos_1"))
    assert (half.order, half.error.code) == (None, "not_enough_money")
    assert rest.sent == ["POST /v1/positions/pos_1/reverse"] * 2
    assert rest.bodies() == [{}, {}]


def test_closing_all(rest, reply, order_row):
    rest.answers(
        reply({"results": [], "orders": []}),
        reply(
            {
                "results": [{"position_id": "pos_1", "error": REFUSED}],
                "orders": [{"order_id": "ord_1", "order": order_row()}],
            }
        ),
    )
    assert rest.call(lambda c: c.positions.close_all()).results == ()
    done = rest.call(
        lambda c: c.positions.close_all(symbol="EURUSD", side="BUY", include_orders=True)
    )
    assert (done.results[0].error.status, done.orders[0].order.symbol) == (422, "EURUSD")
    assert rest.bodies() == [
        {"include_orders": False},
        {"symbol": "EURUSD", "side": "BUY", "include_orders": True},
    ]


def test_a_path_without_a_method_of_its_own(rest, reply):
    rest.answers(ConnectionLost("x"), reply({"win_rate": 0.5}), reply({"ok": True}))
    stats = rest.call(lambda c: c.request("get", "/stats", params={"group_by": "magic"}))
    assert stats == {"win_rate": 0.5}
    rest.call(lambda c: c.request("POST", "/accounts/acc_1/halt", body={"reason": "news"}))
    assert rest.sent[1:] == ["GET /v1/stats?group_by=magic", "POST /v1/accounts/acc_1/halt"]
    assert rest.bodies()[2] == {"reason": "news"}
    assert rest.header("Idempotency-Key") == [None, None, "id1"]


@pytest.mark.parametrize("body", [{"id": "pos_1"}, [], {"data": 1}])
def test_an_answer_of_another_shape_is_named(rest, reply, body):
    rest.answers(reply(body, X_Request_Id="req_9"))
    error = rest.fails(ProtocolError, lambda c: c.positions.get("pos_1"))
    assert "GET /positions/pos_1" in str(error)
    assert "req_9" in str(error)
    assert isinstance(error, errors.TransportError)
