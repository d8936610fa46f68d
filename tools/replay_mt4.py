"""The closed trades of MT4 statements: each one's profit from its prices."""

from pathlib import Path

from fxsocket_server.model.conversion import ONE, Ratio, converted, currency_digits, inverse
from fxsocket_server.model.enums import CalcMode, Side
from fxsocket_server.model.profit import profit
from fxsocket_server.model.units import DIGITS_MAX, POWERS, VOLUME_DIGITS, text_of
from quotes import codes, is_currency_pair
from tables import Record, TableError, read_json

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}


def replay_cases(path: Path) -> tuple[int, list[str]]:
    """How many cases a file holds, and what is wrong with those whose profit differs."""
    cases = read_json(path)
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise TableError(f"{path}: must be a list of cases, [{{...}}, ...]")
    records = [Record(f"{path}: case {number}", case) for number, case in enumerate(cases, 1)]
    return len(records), [miss for record in records if (miss := _miss(record))]


def _miss(case: Record) -> str | None:
    """How a case's profit differs from the printed one; None when it does not."""
    account = case.text("account_currency").upper()
    digits = currency_digits(account)
    printed, found = case.fixed("expected_profit", digits), _profit(case, account)
    if printed == found:
        return None
    return (
        f"{case.place}: {case.text('symbol')} profit {text_of(printed, digits)}, "
        f"calculated {text_of(found, digits)}"
    )


def _profit(case: Record, account: str) -> int:
    symbol, close = case.text("symbol"), case.fixed("close", DIGITS_MAX)
    default = CalcMode.FOREX if is_currency_pair(symbol) else CalcMode.CFD
    currency = _profit_currency(case, symbol)
    from_digits = currency_digits(currency)
    amount = profit(
        case.choice("calc_mode", CalcMode, default),
        _side(case),
        case.fixed("volume", VOLUME_DIGITS),
        contract_size=case.fixed("contract_size", VOLUME_DIGITS),
        open_price=case.fixed("open", DIGITS_MAX),
        close_price=close,
        digits=DIGITS_MAX,
        money_digits=from_digits,
    )
    rate = _rate(case, symbol, currency, account, close)
    return converted(amount, rate, from_digits, currency_digits(account))


def _side(case: Record) -> Side:
    name = case.text("side").lower()
    if name not in _SIDES:
        raise case.fail("side", f"{name!r} is neither buy nor sell")
    return _SIDES[name]


def _profit_currency(case: Record, symbol: str) -> str:
    pair = codes(symbol)
    return case.text("profit_currency", pair[1] if pair else None).upper()


def _rate(case: Record, symbol: str, currency: str, account: str, close: int) -> Ratio:
    """1 in the account's own currency, 1 / close where the pair itself is the conversion pair."""
    if currency == account:
        return ONE
    if codes(symbol) == (account, currency):
        return inverse((close, POWERS[DIGITS_MAX]))
    raise case.fail("symbol", f"{symbol} makes {currency}, and no rate leads to {account}")
