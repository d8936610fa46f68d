"""Examples of request checks: stops level, freeze level, volume limit."""

from typing import Any

from msgspec.structs import replace

from fxsocket_server.broker.checks import volume_limit_refusal, volume_refusal
from fxsocket_server.broker.stops import (
    Refusal,
    pending_freeze_refusal,
    pending_price_refusal,
    pending_stops_refusal,
    position_freeze_refusal,
    position_stops_refusal,
)
from fxsocket_server.model.enums import OrderType, Side
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import fixed_of
from quotes import NamedRate

from .inputs import SIDES, Inputs, lots

Answers = dict[str, Any]


def answers(given: Inputs, _expected: Answers) -> Answers:
    """The retcode of each trial, request, or of the only one; "accept" where none is printed."""
    if given.has("requests"):
        return {"results": [_code(refusal, "accept") for refusal in _volume_limits(given)]}
    if given.has("volume_min", "volume_step"):
        return _volumes(given)
    if given.has("trials"):
        fields = given.first("fields")
        trials = (dict(zip(fields, row, strict=True)) for row in given.first("trials"))
        return {"results": [_trial(given, trial) for trial in trials]}
    retcode = _trial(given, {})
    return {"retcode": int(retcode), "deal": 0, "order": 0, "results": [retcode]}


def _code(refusal: Refusal | None, accepted: str) -> str:
    return str(int(refusal.retcode)) if refusal else accepted


# --- volume ----------------------------------------------------------------------------------


def _volumes(given: Inputs) -> Answers:
    """One volume or several against minimum, maximum and step."""
    spec = replace(
        NamedRate(given.symbol or "EURUSD").spec,
        volume_min=given.lots("volume_min"),
        volume_max=given.lots("volume_max", default=10**6),
        volume_step=given.lots("volume_step", default=0.01),
    )
    volumes = given.first("volumes", "trials", default=[given.first("volume", default=0)])
    amounts = [volume[0] if isinstance(volume, list) else volume for volume in volumes]
    results = [_code(volume_refusal(spec, lots(volume)), "accept") for volume in amounts]
    return {"results": results, "retcode": results[0]}


# --- volume limit ----------------------------------------------------------------------------


def _volume_limits(given: Inputs) -> list[Refusal | None]:
    limit = given.lots("volume_limit")
    held = _by_side(given, "position", "positions")
    resting = _by_side(given, "order", "orders")
    return [
        volume_limit_refusal(limit, side, held[side], resting[side], lots(volume))
        for side, volume in ((_side(kind), volume) for kind, volume in given.first("requests"))
    ]


def _side(kind: str) -> Side:
    return Side.BUY if OrderType(kind.upper()).is_buy else Side.SELL


def _by_side(given: Inputs, single: str, several: str) -> dict[Side, int]:
    rows = given.first(several, default=[given.first(single)] if given.has(single) else [])
    return {side: sum(lots(row[1]) for row in rows if _side(row[0]) is side) for side in Side}


# --- stops and freeze level ------------------------------------------------------------------


def _trial(given: Inputs, trial: dict[str, float]) -> str:
    """One request or modification: what the inputs share, and what the trial adds."""
    values = {**given.values, **trial}
    digits = given.digits()
    prices = {
        name: None if values.get(name) is None else fixed_of(values[name], digits)
        for name in ("bid", "ask", "sl", "tp", "price", "stop_limit")
    }
    bid = prices["bid"] if prices["bid"] is not None else prices["ask"]
    ask = prices["ask"] if prices["ask"] is not None else bid
    market: dict[str, Any] = {"bid": bid, "ask": ask, "digits": digits}
    side = _side_of(values)
    level = values.get("freeze_level") or 0
    if prices["price"] is not None:
        refusal = _pending(values, prices, side, market)
        return _code(refusal, str(int(Retcode.PLACED)))
    stops: dict[str, Any] = {"sl": prices["sl"], "tp": prices["tp"]}
    if level:
        refusal = position_freeze_refusal(side, **stops, level=level, **market)
    else:
        refusal = position_stops_refusal(
            side, **stops, level=values.get("stops_level", 0), **market
        )
    return _code(refusal, str(int(Retcode.DONE)))


def _side_of(values: dict[str, Any]) -> Side:
    """As named; else that of an order whose SL lies below (buy) or above (sell) its price."""
    named = str(values.get("side") or values.get("type") or values.get("order_type") or "").lower()
    if named:
        return SIDES.get(named) or _side(named)
    price, sl, tp = (values.get(name) for name in ("price", "sl", "tp"))
    if sl is not None and price is not None:
        return Side.BUY if sl < price else Side.SELL
    if tp is not None and price is not None:
        return Side.BUY if tp > price else Side.SELL
    return Side.BUY


def _pending(
    values: dict[str, Any], prices: dict[str, int | None], side: Side, market: dict[str, Any]
) -> Refusal | None:
    """A pending order's price against the market where both are known, then its SL and TP."""
    price, limit = prices["price"] or 0, prices["stop_limit"]
    level = values.get("stops_level") or 0
    kind = values.get("type") or values.get("order_type")
    refusal = None
    if kind and market["bid"] is not None:
        order_type = OrderType(str(kind).upper())
        if values.get("freeze_level"):
            return pending_freeze_refusal(
                order_type, price=price, level=values["freeze_level"], **market
            )
        refusal = pending_price_refusal(
            order_type, price=price, stop_limit=limit, level=level, **market
        )
    return refusal or pending_stops_refusal(
        side,
        price=limit or price,
        sl=prices["sl"],
        tp=prices["tp"],
        level=level,
        digits=market["digits"],
    )
