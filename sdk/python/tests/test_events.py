"""Every frame of the contract is read into its class, none is left over."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fxsocket import (
    AccountUpdate,
    CandleUpdate,
    ChannelGap,
    MarketOpen,
    QuoteUpdate,
    Snapshot,
    Stale,
    TerminalUpdate,
)
from fxsocket.events import read_event

NOW = "2026-11-22T10:00:00.250Z"
MOMENT = datetime(2026, 11, 22, 10, 0, 0, 250_000, tzinfo=UTC)
CANDLE = {"time": NOW, "open": 1.08, "high": 1.09, "low": 1.07, "close": 1.085, "tick_volume": 9,
          "real_volume": 0, "spread": 2}  # fmt: skip
QUOTE = {"symbol": "EURUSD", "bid": 1.08, "ask": 1.0801, "last": None, "volume": 0.0,
         "timestamp": NOW, "spread": 10, "age_ms": 4, "market_open": True,
         "stale": False}  # fmt: skip
LIVE = CANDLE | {"symbol": "EURUSD", "timeframe": "M1", "closed": False}
ACCOUNT = {"id": "acc_1", "platform": "MT5", "kind": "SIM", "currency": "USD", "leverage": 100,
           "balance": 1.0, "credit": 0.0, "equity": 1.0, "profit": 0.0, "margin": 0.0,
           "free_margin": 1.0, "trade_allowed": True, "status": "connected",
           "server_time": NOW, "server_utc_offset_s": 7200}  # fmt: skip
GONE = {"connected": False, "detail": "the link broke"}
OPEN = {"symbol": "EURUSD", "market_open": True, "next_open": None, "next_close": NOW}


def read(**frame: Any) -> Any:
    return read_event(msgspec.json.encode({"account_id": "acc_1"} | frame))


def test_market_data():
    quote = read(type="quote", **QUOTE)
    assert isinstance(quote, QuoteUpdate)
    assert (quote.account_id, quote.bid, quote.spread) == ("acc_1", 1.08, 10)
    candle = read(type="candle", **LIVE)
    assert isinstance(candle, CandleUpdate)
    assert (candle.timeframe, candle.close, candle.closed) == ("M1", 1.085, False)
    account = read(type="account", account=ACCOUNT)
    assert isinstance(account, AccountUpdate)
    assert account.account.equity == 1.0
    market = read(type="market_open", time=NOW, **OPEN)
    assert isinstance(market, MarketOpen)
    assert (market.market_open, market.next_close) == (True, MOMENT)


def test_a_terminal_has_a_place_in_the_log():
    event = read(type="terminal", seq=7, prev_seq=6, epoch="e1", event="terminal.disconnected",
                 time=NOW, terminal=GONE)  # fmt: skip
    assert isinstance(event, TerminalUpdate)
    assert (event.seq, event.terminal.connected, event.terminal.detail) == (
        7, False, "the link broke",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("channel", "member", "told"),
    [
        ("quotes", "quotes", [QUOTE]),
        ("candles:M1", "candles", [LIVE]),
        ("market_open", "markets", [OPEN]),
        ("account", "account", ACCOUNT),
        ("terminal", "terminal", GONE),
    ],
)
def test_snapshots(channel, member, told):
    event = read(type="snapshot", channel=channel, **{member: told})
    assert isinstance(event, Snapshot)
    assert event.channel == channel
    assert getattr(event, member)


def test_what_is_not_to_be_trusted_and_what_was_left_out():
    stale = read(type="stale", symbol="EURUSD", channel="ticks", stale=False, since=None,
                 reason="no_tick")  # fmt: skip
    assert stale == Stale(
        account_id="acc_1", symbol="EURUSD", channel="ticks", stale=False, reason="no_tick"
    )
    gap = read(type="gap", channel="candles:M1", symbol="EURUSD", count=2, to=NOW, **{"from": NOW})
    assert gap == ChannelGap(
        account_id="acc_1", channel="candles:M1", symbol="EURUSD", from_=NOW, to=NOW, count=2
    )
