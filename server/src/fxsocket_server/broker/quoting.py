"""At what price a market order executes: the four execution modes, requotes, and the depth."""

from fxsocket_server.broker.book import Book, side_of
from fxsocket_server.broker.state import Offer
from fxsocket_server.broker.stops import Refusal
from fxsocket_server.model.enums import ExecutionMode, Filling, Side
from fxsocket_server.model.facts import TradeRequest
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import lots_text, text_of


def deal_price(book: Book, request: TradeRequest, time_ms: int) -> int | Refusal:
    """What a market order executes at, or a requote.

    MARKET and EXCHANGE take the market's price, whatever was asked. INSTANT takes it while it is
    within the deviation, REQUEST (and a volume above INSTANT's maximum) while it is what was asked.
    A price that the dealer named in a requote holds for a while, then it has changed.
    """
    side = side_of(request.type)
    current, asked = book.entry_price(side), request.price
    mode = book.spec.execution_mode
    if mode in (ExecutionMode.MARKET, ExecutionMode.EXCHANGE) or asked is None:
        return current
    if abs(current - asked) <= _deviation(book, request):
        book.offers.pop(side, None)
        return current
    offer = book.offers.pop(side, None)
    if offer is None or offer.price != asked:
        return _requote(book, side, time_ms)
    if time_ms <= offer.until_ms:
        return offer.price
    text = f"the price has changed to {text_of(current, book.spec.digits)}; ask for it anew"
    return Refusal(Retcode.PRICE_CHANGED, text)


def _deviation(book: Book, request: TradeRequest) -> int:
    spec = book.spec
    by_dealer = spec.execution_mode is ExecutionMode.REQUEST or (
        spec.instant_volume_max and request.volume > spec.instant_volume_max
    )
    return 0 if by_dealer else request.deviation or 0


def _requote(book: Book, side: Side, time_ms: int) -> Refusal:
    price, until_ms = book.entry_price(side), time_ms + book.terms.requote_ms
    book.offers[side] = Offer(book.spec.symbol, side, price, until_ms)
    bid, ask = text_of(book.bid, book.spec.digits), text_of(book.ask, book.spec.digits)
    return Refusal(
        Retcode.REQUOTE, f"the market is at {bid} / {ask}; send that price or a larger deviation"
    )


def depth_refusal(book: Book, filling: Filling, volume: int) -> Refusal | None:
    """All or nothing: a FOK order that the depth cannot fill whole is cancelled."""
    depth = book.spec.depth
    if filling is not Filling.FOK or not depth or volume <= depth:
        return None
    text = f"only {lots_text(depth)} lots of {book.spec.symbol} are on offer; trade less or use IOC"
    return Refusal(Retcode.CANCEL, text)
