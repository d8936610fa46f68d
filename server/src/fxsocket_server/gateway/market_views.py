"""Accounts, symbols, quotes and candles as the API shows them."""

from msgspec import Struct
from msgspec.structs import asdict

from fxsocket_server.gateway.accounts.requests import Driver
from fxsocket_server.gateway.messages import market_state
from fxsocket_server.gateway.ports import Connector
from fxsocket_server.gateway.views import price_number, time_or_none, time_text
from fxsocket_server.model.account import Account, AccountFigures
from fxsocket_server.model.candle import Candle
from fxsocket_server.model.enums import AccountKind, AccountStatus
from fxsocket_server.model.facts import Quote
from fxsocket_server.model.symbol import WEEKDAYS, Session, SymbolSpec
from fxsocket_server.model.units import LOT, POWERS


class AccountView(Struct, frozen=True, kw_only=True):
    """Account object of API v1."""

    id: str
    name: str
    platform: str
    kind: str
    broker: str
    server: str
    login: int
    mode: str
    margin_mode: str
    currency: str
    leverage: int
    balance: float
    credit: float
    equity: float
    profit: float
    margin: float
    free_margin: float
    margin_level: float | None
    stop_out_level: float
    margin_call_level: float
    trade_allowed: bool
    status: str
    server_time: str
    server_utc_offset_s: int


def account_view(
    account: Account,
    status: AccountStatus,
    connector: Connector,
    figures: AccountFigures,
    *,
    is_halted: bool,
) -> AccountView:
    """The public form of a connected account with its figures of now."""
    money = POWERS[account.money_digits]
    now = connector.time_ms()
    margin = figures.margin
    return AccountView(
        id=account.id,
        name=account.name,
        platform=account.platform,
        kind=account.kind.value,
        broker=account.broker,
        server=account.server,
        login=account.login,
        mode=account.mode,
        margin_mode=account.margin_mode.value,
        currency=account.currency,
        leverage=account.leverage,
        balance=figures.balance / money,
        credit=figures.credit / money,
        equity=figures.equity / money,
        profit=figures.profit / money,
        margin=margin / money,
        free_margin=figures.free_margin / money,
        margin_level=figures.equity * 100 / margin if margin else None,
        stop_out_level=account.stop_out_level / 100,
        margin_call_level=account.margin_call_level / 100,
        trade_allowed=not is_halted,
        status=status.value,
        server_time=time_text(now),
        server_utc_offset_s=connector.server_offset_s(now),
    )


class AccountSummary(Struct, frozen=True, kw_only=True):
    """A row of GET /accounts; `profile`, `seed` of simulated accounts, `driver` of terminals."""

    id: str
    name: str
    broker: str
    server: str
    login: int
    platform: str
    kind: str
    mode: str
    currency: str
    leverage: int
    status: str
    error: str | None
    is_default: bool
    driver: str | None
    profile: str | None
    seed: int | None
    created_at: str


def account_summary(
    account: Account, status: AccountStatus, error: str | None, *, is_default: bool
) -> AccountSummary:
    """The public form of an account without figures."""
    is_simulated = account.kind is not AccountKind.TERMINAL
    return AccountSummary(
        id=account.id,
        name=account.name,
        broker=account.broker,
        server=account.server,
        login=account.login,
        platform=account.platform,
        kind=account.kind.value,
        mode=account.mode,
        currency=account.currency,
        leverage=account.leverage,
        status=status.value,
        error=error,
        is_default=is_default,
        driver=None if is_simulated else account.driver or Driver.EXTERNAL.value,
        profile=account.profile if is_simulated else None,
        seed=account.seed if is_simulated else None,
        created_at=time_text(account.created_ms),
    )


class CreatedAccount(AccountSummary, frozen=True, kw_only=True):
    """A new account; what lets its terminal in is shown this once."""

    connector_token: str | None


def created_view(summary: AccountSummary, token: str | None) -> CreatedAccount:
    """The answer to POST /accounts."""
    return CreatedAccount(**asdict(summary), connector_token=token)


class SymbolView(Struct, frozen=True, kw_only=True):
    """Symbol object of API v1."""

    symbol: str
    description: str
    digits: int
    point: float
    contract_size: float
    currency_base: str
    currency_profit: str
    currency_margin: str
    tick_size: float
    tick_value: float | None
    volume_min: float
    volume_max: float
    volume_step: float
    volume_limit: float | None
    stops_level: int
    freeze_level: int
    execution_mode: str
    filling_modes: list[str]
    order_types: list[str]
    trade_mode: str
    calc_mode: str
    margin_initial: float
    margin_hedged: float
    swap_mode: str
    swap_long: float
    swap_short: float
    swap_triple_day: str | None
    spread: int
    spread_floating: bool
    bid: float | None
    ask: float | None
    sessions: dict[str, list[dict[str, str]]]
    market_open: bool
    next_open: str | None
    next_close: str | None


def _clock_text(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _session_rows(sessions: tuple[Session, ...]) -> list[dict[str, str]]:
    return [
        {
            "day": WEEKDAYS[session.weekday].upper(),
            "from": _clock_text(session.from_minute),
            "to": _clock_text(session.to_minute),
        }
        for session in sessions
    ]


def symbol_view(spec: SymbolSpec, connector: Connector) -> SymbolView:
    """The public form of a symbol with its price and session state of now."""
    quote = connector.quote(spec.symbol)
    market = market_state(spec, connector)
    return SymbolView(
        symbol=spec.symbol,
        description=spec.description,
        digits=spec.digits,
        point=1 / POWERS[spec.digits],
        contract_size=spec.contract_size / LOT,
        currency_base=spec.currency_base,
        currency_profit=spec.currency_profit,
        currency_margin=spec.currency_margin,
        tick_size=spec.tick_size / POWERS[spec.digits],
        tick_value=connector.tick_value(spec.symbol),
        volume_min=spec.volume_min / LOT,
        volume_max=spec.volume_max / LOT,
        volume_step=spec.volume_step / LOT,
        volume_limit=spec.volume_limit / LOT if spec.volume_limit else None,
        stops_level=spec.stops_level,
        freeze_level=spec.freeze_level,
        execution_mode=spec.execution_mode.value,
        filling_modes=[mode.value for mode in spec.filling_modes],
        order_types=[type_.value for type_ in spec.order_types],
        trade_mode=spec.trade_mode.value,
        calc_mode=spec.calc_mode.value,
        margin_initial=spec.margin_initial / LOT,
        margin_hedged=spec.margin_hedged / LOT,
        swap_mode=spec.swap_mode.value,
        swap_long=spec.swap_long / LOT,
        swap_short=spec.swap_short / LOT,
        swap_triple_day=_triple_day(spec),
        spread=spec.spread if quote is None else quote.ask - quote.bid,
        spread_floating=spec.spread_floating,
        bid=None if quote is None else price_number(quote.bid, spec.digits),
        ask=None if quote is None else price_number(quote.ask, spec.digits),
        sessions={
            "trade": _session_rows(spec.trade_sessions),
            "quote": _session_rows(spec.quote_sessions),
        },
        market_open=market.is_open,
        next_open=time_or_none(market.next_open_ms),
        next_close=time_or_none(market.next_close_ms),
    )


def _triple_day(spec: SymbolSpec) -> str | None:
    if spec.swap_triple_day >= len(WEEKDAYS):
        return None
    return WEEKDAYS[spec.swap_triple_day].upper()


class QuoteView(Struct, frozen=True):
    """Quote object of API v1."""

    symbol: str
    bid: float | None
    ask: float | None
    last: float | None
    volume: float | None
    timestamp: str | None
    spread: int | None
    age_ms: int | None
    market_open: bool
    stale: bool


def quote_view(spec: SymbolSpec, connector: Connector, stale_ms: int) -> QuoteView:
    """The public form of a symbol's newest price."""
    now = connector.time_ms()
    market_open = connector.market_open(spec.symbol, now)
    return quote_view_at(now, spec, connector.quote(spec.symbol), market_open, stale_ms)


def quote_view_at(
    now: int, spec: SymbolSpec, quote: Quote | None, market_open: bool, stale_ms: int
) -> QuoteView:
    """A price at a moment of the broker clock; stale when an open market went quiet."""
    if quote is None:
        return QuoteView(
            spec.symbol, None, None, None, None, None, None, None, market_open, market_open
        )
    age_ms = max(0, now - quote.time_ms)
    return QuoteView(
        spec.symbol,
        price_number(quote.bid, spec.digits),
        price_number(quote.ask, spec.digits),
        price_number(quote.last, spec.digits) if quote.last else None,
        None,
        time_text(quote.time_ms),
        quote.ask - quote.bid,
        age_ms,
        market_open,
        market_open and age_ms > stale_ms,
    )


class CandleView(Struct, frozen=True, gc=False):
    """A row of GET /candles."""

    time: str
    open: float
    high: float
    low: float
    close: float
    tick_volume: int
    real_volume: int
    spread: int


def candle_view(candle: Candle, digits: int) -> CandleView:
    """The public form of a candle."""
    scale = POWERS[digits]
    return CandleView(
        time_text(candle.time_ms),
        candle.open / scale,
        candle.high / scale,
        candle.low / scale,
        candle.close / scale,
        candle.tick_volume,
        candle.real_volume,
        candle.spread,
    )
