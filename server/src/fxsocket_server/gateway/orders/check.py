"""Check an order: what placing it would lead to, without placing it."""

from msgspec import Struct

from fxsocket_server.gateway.commands import Command
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.orders.place import PlaceOrder
from fxsocket_server.gateway.refusals import code_of, retcode_name
from fxsocket_server.gateway.requests import OrderRequest
from fxsocket_server.model.units import POWERS


class CheckView(Struct, frozen=True, kw_only=True):
    """Answer of POST /orders/check: MqlTradeCheckResult in the words of the API."""

    allowed: bool
    retcode: int
    retcode_name: str | None
    code: str | None
    comment: str
    margin_needed: float
    balance: float
    equity: float
    profit: float
    margin: float
    free_margin: float
    margin_level: float | None
    currency: str


async def check_order(
    lane: Lane, request: OrderRequest, request_id: str, api_key_id: str
) -> CheckView:
    """Ask the broker what an order of an API key would lead to.

    Raises the same problems as placing it where the symbol's or the risk rules refuse it, or the
    terminal cannot take it now.
    """
    command = Command(
        id=request_id,
        kind="order.check",
        subject_id="ord_0",
        fingerprint=b"",
        key=None,
        wait_ms=0,
        api_key_id=api_key_id,
    )
    intent = PlaceOrder(request)(lane, command)
    lane.terminal.check(opens=True)
    lane.risk.judge(command, intent.order)
    result = await lane.connector.check(intent.request)
    figures, money = result.figures, POWERS[lane.account.money_digits]
    refused = result.retcode != 0
    return CheckView(
        allowed=not refused,
        retcode=result.retcode,
        retcode_name=retcode_name(result.retcode) if refused else None,
        code=code_of(result.retcode) if refused else None,
        comment=result.comment,
        margin_needed=result.margin_needed / money,
        balance=figures.balance / money,
        equity=figures.equity / money,
        profit=figures.profit / money,
        margin=figures.margin / money,
        free_margin=figures.free_margin / money,
        margin_level=figures.equity * 100 / figures.margin if figures.margin else None,
        currency=lane.account.currency,
    )
