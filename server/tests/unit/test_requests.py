"""Bodies of commands: each rule that is judged before the journal, with its field and its fix."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fxsocket_server.bootstrap.accounts import load_profile
from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.requests import (
    OrderRequest,
    check_extras,
    check_key,
    check_lifetime,
    check_price,
    check_time,
    check_volume,
    default_filling,
    known_symbol,
    one_key,
    utc_ms,
)
from fxsocket_server.gateway.views import time_text
from fxsocket_server.model.enums import Filling, OrderType, TimeInForce
from fxsocket_server.model.units import LOT

SPECS = load_profile("standard").symbols
EURUSD = SPECS["EURUSD"]


def request(**parts: Any) -> OrderRequest:
    return OrderRequest(**{"symbol": "EURUSD", "type": OrderType.BUY, "volume": 0.1, **parts})


def refusal(code: str, pointer: str, check: Any, /, *parts: Any, **named: Any) -> str:
    with pytest.raises(Problem) as caught:
        check(*parts, **named)
    assert caught.value.kind.code == code
    assert [error.pointer for error in caught.value.errors] == [pointer]
    return caught.value.detail


# --- symbol and volume -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "near"), [("EURUDS", "EURUSD"), ("eurusd", "EURUSD"), ("XAU", "XAUUSD")]
)
def test_an_unknown_symbol_gets_the_nearest_names(asked: str, near: str) -> None:
    assert near in refusal("invalid_symbol", "/symbol", known_symbol, SPECS, asked)


@pytest.mark.parametrize("asked", ["", "?", "\0", "Z" * 100_000])
def test_a_symbol_like_no_other_gets_the_list(asked: str) -> None:
    detail = refusal("invalid_symbol", "?symbol", known_symbol, SPECS, asked, "?symbol")
    assert "GET /v1/symbols" in detail
    assert len(detail) < 300


@pytest.mark.parametrize(
    ("lots", "volume"),
    [(0.01, LOT // 100), (0.1, LOT // 10), (0.1 + 0.2, 3 * LOT // 10), (100, 100 * LOT)],
)
def test_a_volume_is_read_as_it_was_meant(lots: float, volume: int) -> None:
    assert check_volume(EURUSD, lots) == volume


@pytest.mark.parametrize(
    ("lots", "words"),
    [
        (0, "above 0; EURUSD starts at 0.01"),
        (-1, "above 0"),
        (float("inf"), "above 0"),
        (float("nan"), "above 0"),
        (0.015, "not a multiple of 0.01; nearest 0.01 or 0.02"),
        (0.001, "not a multiple of 0.01; nearest 0.01"),
        (100.01, "above the maximum 100 of EURUSD"),
    ],
)
def test_a_wrong_volume_names_the_nearest(lots: float, words: str) -> None:
    assert words in refusal("invalid_volume", "/volume", check_volume, EURUSD, lots)


def test_the_rest_of_a_position_may_be_below_the_minimum() -> None:
    coarse = replace(EURUSD, volume_min=LOT // 10)
    refusal("invalid_volume", "?volume", check_volume, coarse, 0.05, pointer="?volume")
    assert check_volume(coarse, 0.05, least=LOT // 20) == LOT // 20


@given(st.floats(), st.sampled_from(sorted(SPECS)))
def test_any_volume_is_taken_on_the_step_or_refused(lots: float, symbol: str) -> None:
    spec = SPECS[symbol]
    try:
        volume = check_volume(spec, lots)
    except Problem as problem:
        assert problem.kind.code == "invalid_volume"  # noqa: PT017
    else:
        assert spec.volume_min <= volume <= spec.volume_max
        assert volume % spec.volume_step == 0
        assert abs(volume - lots * LOT) <= 1


# --- prices ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0, 0.0, -0.0])
def test_null_and_zero_mean_no_price(value: float | None) -> None:
    assert check_price("sl", value, 5, "invalid_stops") is None


@pytest.mark.parametrize(
    ("value", "points"),
    [(1.0834, 108_340), (1.083_404_9, 108_340), (1.083_405, 108_341), (1e-5, 1)],
)
def test_a_price_is_rounded_to_points(value: float, points: int) -> None:
    assert check_price("price", value, 5, "invalid_price") == points


@pytest.mark.parametrize("value", [-1.0, 1e12, 1.7e308, float("inf"), float("nan"), 1e-9, 5e-324])
def test_a_wrong_price_names_its_field(value: float) -> None:
    assert "tp" in refusal("invalid_stops", "/tp", check_price, "tp", value, 5, "invalid_stops")


# --- times -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-12-31T21:00:00Z", "2026-12-31T21:00:00.000Z"),
        ("2026-12-31T23:00:00+02:00", "2026-12-31T21:00:00.000Z"),
        ("2026-12-31T21:00:00.123Z", "2026-12-31T21:00:00.123Z"),
        ("2026-12-31T21:00:00.123999Z", "2026-12-31T21:00:00.123Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        ("9998-12-31T23:59:59.999Z", "9998-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_keeps_its_milliseconds(text: str, shown: str) -> None:
    assert time_text(check_time("expires_at", text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "", "tomorrow", "2026-12-31T21:00:00", "2026-12-31", "1798750800", "2026-13-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00", "2" * 10_000,
    ],
)  # fmt: skip
def test_a_wrong_time_is_refused(text: str) -> None:
    refusal("validation_error", "/expires_at", check_time, "expires_at", text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_are_counted_exactly(moment: datetime) -> None:
    milliseconds = utc_ms(moment)
    days, left = divmod(milliseconds, 86_400_000)
    assert days == moment.toordinal() - datetime(1970, 1, 1, tzinfo=UTC).toordinal()
    clock = ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000
    assert left == clock + moment.microsecond // 1_000


@pytest.mark.parametrize(
    ("parts", "lifetime"),
    [
        ({}, TimeInForce.GTC),
        ({"time_in_force": TimeInForce.DAY}, TimeInForce.DAY),
        ({"expires_at": "2026-12-31T21:00:00Z"}, TimeInForce.SPECIFIED),
        (
            {"expires_at": "2026-12-31T21:00:00Z", "time_in_force": TimeInForce.SPECIFIED_DAY},
            TimeInForce.SPECIFIED_DAY,
        ),
    ],
)
def test_a_lifetime_follows_its_expiry(parts: dict[str, Any], lifetime: TimeInForce) -> None:
    found, expires_ms = check_lifetime(request(**parts))
    assert found is lifetime
    assert (expires_ms is None) == ("expires_at" not in parts)


def test_lifetime_and_expiry_must_fit() -> None:
    for lifetime in (TimeInForce.SPECIFIED, TimeInForce.SPECIFIED_DAY):
        lone = request(time_in_force=lifetime)
        refusal("invalid_expiration", "/expires_at", check_lifetime, lone)
    for lifetime in (TimeInForce.GTC, TimeInForce.DAY):
        dated = request(time_in_force=lifetime, expires_at="2026-12-31T21:00:00Z")
        refusal("invalid_expiration", "/time_in_force", check_lifetime, dated)


# --- keys and extras -------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["k", "k" * limits.IDEMPOTENCY_KEY_CHARS, "a b", "~!@#$%^&*()"])
def test_a_key_is_printable_ascii(key: str) -> None:
    check_key(key)
    assert one_key(key, None) == key


@pytest.mark.parametrize(
    "key", ["", "k" * (limits.IDEMPOTENCY_KEY_CHARS + 1), "a\tb", "\x7f", "caf\xe9", "ключ"]
)
def test_another_key_is_refused(key: str) -> None:
    refusal("validation_error", "Idempotency-Key", check_key, key)
    refusal("validation_error", "Idempotency-Key", one_key, key, None)


def test_header_and_client_order_id_are_one_key() -> None:
    assert one_key(None, None) is None
    assert one_key(None, "mine") == "mine"
    assert one_key("mine", "mine") == "mine"
    refusal("validation_error", "/client_order_id", one_key, "other", "mine")


@pytest.mark.parametrize("text", ["", "a b", "a/b", "é", "x" * 65, "x\n", "~"])
def test_a_client_order_id_can_be_looked_up(text: str) -> None:
    refusal("validation_error", "/client_order_id", one_key, None, text)


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({"comment": "c" * 32}, "/comment"),
        ({"comment": "a\nb"}, "/comment"),
        ({"comment": "\x85"}, "/comment"),
        ({"magic": -1}, "/magic"),
        ({"magic": 2**63}, "/magic"),
        ({"deviation": -1}, "/deviation"),
        ({"deviation": 10**9}, "/deviation"),
    ],
)
def test_what_metatrader_cannot_carry_is_refused(parts: dict[str, Any], pointer: str) -> None:
    refusal("validation_error", pointer, check_extras, request(**parts))


@pytest.mark.parametrize("comment", [None, "", "c" * 31, "mean reversion №5", "日本", "🚀"])
def test_a_comment_is_any_text(comment: str | None) -> None:
    check_extras(request(comment=comment, magic=2**63 - 1, deviation=0))


def test_the_filling_that_is_meant_is_the_first() -> None:
    assert default_filling(OrderType.BUY, EURUSD) is EURUSD.filling_modes[0]
    assert default_filling(OrderType.BUY_LIMIT, EURUSD) is Filling.RETURN
    assert default_filling(OrderType.BUY, replace(EURUSD, filling_modes=())) is Filling.RETURN
