"""Frames: exact members, exact prices, and bytes that are shared instead of built again."""

import json
import random

import pytest

from fxsocket_server.channels import frames
from fxsocket_server.channels.conflation import LateTick
from fxsocket_server.channels.frames import EventFrame, TickFrame
from fxsocket_server.model.facts import Quote

TIME = "2026-01-05T00:00:00.123Z"


def test_a_tick_has_every_field():
    plain = frames.tick("acc_1", Quote("EURUSD", 0, 108340, 108348), 5, TIME)
    assert json.loads(plain) == {
        "type": "tick",
        "account_id": "acc_1",
        "symbol": "EURUSD",
        "bid": 1.0834,
        "ask": 1.08348,
        "last": None,
        "volume": 0,
        "flags": 6,
        "timestamp": TIME,
    }
    assert b'"bid":1.0834,"ask":1.08348,' in plain


def test_a_tick_of_an_exchange_carries_the_last():
    found = json.loads(frames.tick("acc_1", Quote("ACME", 0, 13250, 13254, 13251), 2, TIME))
    assert (found["last"], found["flags"]) == (132.51, 14)


def test_names_are_written_as_json():
    odd = 'A"\\\u2028é'
    assert json.loads(frames.tick(odd, Quote(odd, 0, 1, 2), 0, TIME))["symbol"] == odd


def test_prices_are_what_the_decimals_say(rng: random.Random):
    for _ in range(2_000):
        digits = rng.randint(0, 8)
        bid = rng.randint(0, 10 ** rng.randint(1, 15))
        found = json.loads(frames.tick("a", Quote("S", 0, bid, bid + 1), digits, TIME))
        assert found["bid"] == float(f"{bid}e-{digits}")
        assert found["ask"] == float(f"{bid + 1}e-{digits}")


def test_the_numbered_form_differs_by_its_number_only_and_is_made_once():
    tick = TickFrame("acc_1", "S", 42, plain=frames.tick("acc_1", Quote("S", 0, 1, 2), 0, TIME))
    assert json.loads(tick.numbered) == json.loads(tick.plain) | {"n": 42}
    assert tick.numbered is tick.numbered


def test_a_snapshot_holds_ticks():
    ticks = [frames.tick("acc_1", Quote(s, 0, 1, 2), 1, TIME) for s in ("E", "G")]
    found = json.loads(frames.tick_snapshot("acc_1", ticks))
    assert (found["type"], found["channel"], found["account_id"]) == ("snapshot", "ticks", "acc_1")
    assert found["ticks"] == [json.loads(tick) for tick in ticks]


def test_a_gap_says_from_where_to_where_and_how_many():
    late = LateTick(9, b"", first_skipped=3, last_skipped=8, skipped=4)
    assert json.loads(frames.tick_gap("acc_1", "E", late)) == {
        "type": "gap",
        "channel": "ticks",
        "account_id": "acc_1",
        "symbol": "E",
        "from": 3,
        "to": 8,
        "count": 4,
    }


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("order.filled", "order_update"),
        ("deal.added", "deal"),
        ("position.opened", "position"),
    ],
)
def test_an_event_frame_differs_between_connections_by_prev_seq_only(event: str, kind: str):
    frame = EventFrame("acc_1", "ep", 7, event, TIME, b'"order":{"id":"ord_1"}')
    for prev_seq in (6, 3, 6):
        assert json.loads(frame.after(prev_seq).plain) == {
            "type": kind,
            "account_id": "acc_1",
            "seq": 7,
            "prev_seq": prev_seq,
            "epoch": "ep",
            "event": event,
            "time": TIME,
            "order": {"id": "ord_1"},
        }
    assert frame.after(6) is frame.after(6)


def test_results_and_errors_carry_the_id_they_answer():
    result = json.loads(frames.result("r1", "order", b'{"id":"ord_1"}', replayed=True))
    assert result == {"type": "result", "id": "r1", "replayed": True, "order": {"id": "ord_1"}}
    error = json.loads(frames.error("invalid_symbol", "no X", 4, symbols=["X"]))
    assert error["type"] == "error"
    assert (error["id"], error["code"], error["symbols"]) == (4, "invalid_symbol", ["X"])
