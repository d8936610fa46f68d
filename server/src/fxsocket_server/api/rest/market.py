"""/v1/symbols, /v1/quotes, /v1/candles."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import (
    context_of,
    header_of,
    integer_parameter,
    json_response,
    lane_of,
    text_parameter,
)
from fxsocket_server.core import limits
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.market import CandleRange, CandleRows
from fxsocket_server.gateway.market_views import candle_view, quote_view, symbol_view
from fxsocket_server.gateway.queries import cursor_number, page_limit, time_parameter
from fxsocket_server.gateway.requests import known_symbol
from fxsocket_server.gateway.views import time_text
from fxsocket_server.model.enums import Platform
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.model.symbol_group import in_group
from fxsocket_server.model.timeframe import MT4_TIMEFRAMES, MT5_TIMEFRAMES, Timeframe, parse
from fxsocket_server.model.units import text_of

_CSV_HEADER = "time,open,high,low,close,tick_volume,real_volume,spread\n"


async def list_symbols(request: Request) -> Response:
    """GET /symbols; `group` takes comma-separated patterns such as `*USD*,!EUR*`."""
    lane = lane_of(request)
    group = text_parameter(request, "group", limits.GROUP_CHARS)
    visible = text_parameter(request, "visible")
    if visible not in (None, "true", "false"):
        raise Problem("validation_error", "visible must be true or false", pointer="?visible")
    masks = None if group is None else group.split(",")
    specs = lane.connector.specs().values()
    chosen = [s for s in specs if visible != "false" and in_group(s.symbol, masks)]
    return json_response([symbol_view(spec, lane.connector) for spec in chosen])


async def get_symbol(request: Request) -> Response:
    """GET /symbols/{symbol}."""
    lane = lane_of(request)
    spec = _symbol_in_path(request, lane.connector.specs())
    return json_response(symbol_view(spec, lane.connector))


def _symbol_in_path(request: Request, specs: Mapping[str, SymbolSpec]) -> SymbolSpec:
    symbol = request.path_params["symbol"]
    if symbol not in specs:
        raise Problem("not_found", f"no symbol {symbol[:32]!r} here; GET /v1/symbols lists them")
    return specs[symbol]


async def list_quotes(request: Request) -> Response:
    """GET /quotes?symbols=EURUSD,GBPUSD; all symbols when none is named."""
    lane = lane_of(request)
    specs = lane.connector.specs()
    names = text_parameter(request, "symbols")
    chosen = list(specs.values())
    if names is not None:
        chosen = [known_symbol(specs, name.strip(), "?symbols") for name in names.split(",")]
    return json_response(
        [quote_view(spec, lane.connector, limits.QUOTE_STALE_MS) for spec in chosen]
    )


async def get_quote(request: Request) -> Response:
    """GET /quotes/{symbol}."""
    lane = lane_of(request)
    spec = _symbol_in_path(request, lane.connector.specs())
    return json_response(quote_view(spec, lane.connector, limits.QUOTE_STALE_MS))


async def list_candles(request: Request) -> Response:
    """GET /candles, as JSON pages or, with Accept: text/csv, the whole range."""
    lane = lane_of(request)
    symbol = text_parameter(request, "symbol")
    if symbol is None:
        raise Problem(
            "validation_error", "name a symbol: ?symbol=EURUSD&timeframe=H1", pointer="?symbol"
        )
    spec = known_symbol(lane.connector.specs(), symbol, "?symbol")
    as_csv = "text/csv" in (header_of(request, b"accept") or "")
    asked = _range(request, lane, as_csv=as_csv)
    rows = await context_of(request).gateway.market(lane).candles(spec, asked)
    if as_csv:
        return _csv_response(rows, spec.digits)
    views = [candle_view(candle, spec.digits) for candle in rows.candles]
    cursor = None if rows.next_ms is None else str(rows.next_ms)
    return Response(
        encode({"data": views, "next_cursor": cursor, "complete": rows.complete}),
        media_type="application/json",
    )


def _range(request: Request, lane: Lane, *, as_csv: bool) -> CandleRange:
    limit = page_limit(
        integer_parameter(request, "limit"), limits.CANDLE_ROWS_DEFAULT, limits.CANDLE_ROWS
    )
    from_ms = time_parameter("from", text_parameter(request, "from"))
    to_ms = time_parameter("to", text_parameter(request, "to"))
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        raise Problem("validation_error", "to must lie after from", pointer="?to")
    cursor = cursor_number(text_parameter(request, "cursor"))
    return CandleRange(
        timeframe=_timeframe(text_parameter(request, "timeframe"), lane.account.platform),
        from_ms=from_ms if cursor is None else cursor,
        to_ms=to_ms,
        limit=None if as_csv else limit,
    )


def _timeframe(name: str | None, platform: str) -> Timeframe:
    try:
        return parse(name or "", MT4_TIMEFRAMES if platform == Platform.MT4 else MT5_TIMEFRAMES)
    except ValueError as error:
        raise Problem("validation_error", str(error), pointer="?timeframe") from None


def _csv_response(rows: CandleRows, digits: int) -> Response:
    # A file cannot say that it is short, as `complete` says it of a page.
    if not rows.complete:
        raise Problem(
            "unavailable",
            "the source has not all of this range; name a part that it has with from and to, "
            "which JSON pages tell by `complete`",
            retry_after_s=60,
        )
    return Response(_csv(rows, digits), media_type="text/csv")


def _csv(rows: CandleRows, digits: int) -> str:
    lines = [
        ",".join(
            (
                time_text(c.time_ms),
                text_of(c.open, digits),
                text_of(c.high, digits),
                text_of(c.low, digits),
                text_of(c.close, digits),
                f"{c.tick_volume},{c.real_volume},{c.spread}",
            )
        )
        for c in rows.candles
    ]
    return _CSV_HEADER + "".join(line + "\n" for line in lines)
