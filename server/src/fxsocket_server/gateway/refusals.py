"""A broker's refusal as a problem: which code of ours stands for which retcode."""

from fxsocket_server.core.errors import Problem
from fxsocket_server.model.facts import Report
from fxsocket_server.model.retcode import Retcode

CODE_OF_RETCODE: dict[int, str] = {
    Retcode.REQUOTE: "requote",
    Retcode.INVALID_VOLUME: "invalid_volume",
    Retcode.INVALID_CLOSE_VOLUME: "invalid_volume",
    Retcode.INVALID_PRICE: "invalid_price",
    Retcode.INVALID_STOPS: "invalid_stops",
    Retcode.TRADE_DISABLED: "trade_disabled",
    Retcode.MARKET_CLOSED: "market_closed",
    Retcode.NO_MONEY: "not_enough_money",
    Retcode.PRICE_CHANGED: "price_changed",
    Retcode.PRICE_OFF: "price_off",
    Retcode.INVALID_EXPIRATION: "invalid_expiration",
    Retcode.NO_CHANGES: "no_changes",
    Retcode.FROZEN: "frozen",
    Retcode.INVALID_FILL: "invalid_fill",
    Retcode.LIMIT_ORDERS: "order_limit",
    Retcode.LIMIT_VOLUME: "volume_limit",
    Retcode.POSITION_CLOSED: "position_closed",
    Retcode.LIMIT_POSITIONS: "order_limit",
    Retcode.LONG_ONLY: "long_only",
    Retcode.SHORT_ONLY: "short_only",
    Retcode.CLOSE_ONLY: "close_only",
}

_NAMES = {int(code): code.name for code in Retcode}

_FIELD_OF_CODE = {
    "invalid_volume": "/volume",
    "invalid_price": "/price",
    "invalid_expiration": "/expires_at",
    "invalid_fill": "/filling",
}

_WORDS = {
    "deadline_passed": "the command could not be handed to the broker in time and was not sent; "
    "send a new one",
    "not_executed": "the terminal never began this command and will not; send a new one",
}


def refusal_of(report: Report) -> Problem:
    """The problem that tells a client why the broker refused."""
    code = code_of(report.retcode)
    detail = _WORDS.get(report.comment, report.comment) or _name_of(report.retcode)
    return Problem(code, detail, pointer=_field_of(code, detail))


def code_of(retcode: int) -> str:
    """The code of the catalogue that a broker's refusal is told with."""
    return CODE_OF_RETCODE.get(retcode, "rejected")


def retcode_name(retcode: int) -> str:
    """MetaTrader's name of a retcode, without TRADE_RETCODE_; UNKNOWN when it has none."""
    return _NAMES.get(retcode, "UNKNOWN")


def _field_of(code: str, detail: str) -> str | None:
    if code == "invalid_stops":
        return "/tp" if detail.startswith("tp") else "/sl"
    return _FIELD_OF_CODE.get(code)


def _name_of(retcode: int) -> str:
    try:
        return f"the broker refused: {Retcode(retcode).name} ({retcode})"
    except ValueError:
        return f"the broker refused with code {retcode}"
