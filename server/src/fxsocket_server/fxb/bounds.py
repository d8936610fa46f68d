"""What a terminal says is not trusted: every number and text must lie in bounds of its field."""

from collections.abc import Callable, Iterator
from functools import cache

from msgspec import Struct
from msgspec.structs import fields

from fxsocket_server.core.limits import TIME_MS_MAX
from fxsocket_server.fxb.frames import FrameError

_TICKET = (0, 2**63 - 1)
_VOLUME = (0, 10**18)
_PRICE = (-(10**15), 10**15)
_MONEY = (-(10**17), 10**17)
_TIME = (0, TIME_MS_MAX)
_POSITIVE = (1, 10**18)
_INTEGER = (-(2**63), 2**63 - 1)

_NUMBERS = {
    "digits": (0, 10),
    "money_digits": (0, 8),
    "retcode": (0, 99_999),
    "open_extra": (-999, 999),
    "login": _TICKET,
    "leverage": (1, 100_000),
    "offset_s": (-50_400, 50_400),
    "weekday": (0, 6),
    "from_minute": (0, 1_440),
    "to_minute": (0, 1_440),
    "swap_triple_day": (0, 7),
    "swap_year_days": (1, 366),
    "n": (0, 2**62),
    "q": (0, 2**62),
    "epoch": (0, 2**53),
    "id": (0, 2**62),
    "part": (0, 2**31),
}
_NUMBERS |= dict.fromkeys(("ticket", "order_ticket", "position_ticket", "position_by"), _TICKET)
_NUMBERS |= dict.fromkeys(("volume", "filled_volume", "volume_limit", "depth"), _VOLUME)
_NUMBERS |= dict.fromkeys(
    ("price", "filled_price", "stop_limit", "sl", "tp", "open_price", "close_price", "bid", "ask"),
    _PRICE,
)
_NUMBERS |= dict.fromkeys(("balance", "credit", "amount"), _MONEY)
_NUMBERS |= dict.fromkeys(("profit", "swap", "commission", "fee"), _MONEY)
_NUMBERS |= dict.fromkeys(
    ("time_ms", "placed_ms", "opened_ms", "expires_ms", "ms", "start_ms", "expiration_ms"), _TIME
)
_NUMBERS |= dict.fromkeys(
    ("contract_size", "tick_size", "volume_min", "volume_max", "volume_step", "face_value"),
    _POSITIVE,
)

_TEXT_CHARS = 128
_TEXTS = {"comment": 256, "symbol": 32, "s": 32, "tag": 16, "description": 256, "detail": 512}
_TEXTS |= {"currency": 8, "currency_base": 8, "currency_profit": 8, "currency_margin": 8}

# Rates come one per order type, per side, or per weekday: or not at all.
_LENGTHS = {
    "margin_rates": (0, 8),
    "maintenance_rates": (0, 2),
    "swap_multipliers": (0, 7),
}

Check = Callable[[object], None]


def check(message: Struct) -> None:
    """FrameError for the first field that is out of its bounds, in a message or inside it."""
    for name, checks in _checks(type(message)):
        value = getattr(message, name)
        if value is not None:
            checks(value)


@cache
def _checks(kind: type[Struct]) -> tuple[tuple[str, Check], ...]:
    return tuple((field.name, _check_of(field.name)) for field in fields(kind))


def _check_of(name: str) -> Check:
    low, high = _NUMBERS.get(name, _INTEGER)
    chars = _TEXTS.get(name, _TEXT_CHARS)
    lengths = _LENGTHS.get(name)

    def check_value(value: object) -> None:
        if type(value) is int:
            if not low <= value <= high:
                raise FrameError(f"{name}: must be {low} to {high}, is {str(value)[:24]}")
        elif isinstance(value, str):
            if len(value) > chars:
                raise FrameError(f"{name}: at most {chars} characters, has {len(value)}")
        elif isinstance(value, Struct):
            check(value)
        elif isinstance(value, tuple):
            if lengths is not None and len(value) not in lengths:
                raise FrameError(f"{name}: must have {lengths[1]} values or none")
            for item in _items(value):
                if item is not None:
                    check_value(item)

    return check_value


def _items(values: tuple[object, ...]) -> Iterator[object]:
    for value in values:
        if isinstance(value, tuple):
            yield from _items(value)
        else:
            yield value
