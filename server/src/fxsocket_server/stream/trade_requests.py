"""The frames that trade: what each names, and the body that the same command has over REST."""

from typing import Any

from msgspec import UNSET, UnsetType

from fxsocket_server.stream.requests import ClientFrame


class TradeFrame(ClientFrame, kw_only=True):
    """A trade command; answers come out of order, so `id` is needed."""

    id: str | int
    account_id: str | None = None
    idempotency_key: str | None = None
    timeout_ms: float | None = None

    @property
    def subject_id(self) -> str:
        """The order or position that is changed or closed; "" where something new is made."""
        return ""

    def body(self) -> dict[str, Any]:
        """What the command asks, as the body of a REST request would say it."""
        raise NotImplementedError


class _OfOrder(TradeFrame):
    order_id: str

    @property
    def subject_id(self) -> str:
        return self.order_id


class _OfPosition(TradeFrame):
    position_id: str

    @property
    def subject_id(self) -> str:
        return self.position_id


class OrderPlace(TradeFrame):
    """POST /orders."""

    order: dict[str, Any]

    def body(self) -> dict[str, Any]:
        """The order."""
        return self.order


class OrderBatch(TradeFrame):
    """POST /orders/batch."""

    orders: list[dict[str, Any]]

    def body(self) -> dict[str, Any]:
        """The orders."""
        return {"orders": self.orders}


class OrderModify(_OfOrder):
    """PATCH /orders/{id}."""

    patch: dict[str, Any]

    def body(self) -> dict[str, Any]:
        """The patch: absent keeps, null removes."""
        return self.patch


class OrderCancel(_OfOrder):
    """DELETE /orders/{id}."""

    volume: float | None = None
    deviation: int | None = None

    def body(self) -> dict[str, Any]:
        """What narrows the closing of a filled order."""
        return {"volume": self.volume, "deviation": self.deviation}


class PositionModify(_OfPosition):
    """PATCH /positions/{id}."""

    patch: dict[str, Any]

    def body(self) -> dict[str, Any]:
        """The patch: absent keeps, null removes."""
        return self.patch


class PositionClose(_OfPosition):
    """DELETE /positions/{id}."""

    volume: float | None = None
    deviation: int | None = None

    def body(self) -> dict[str, Any]:
        """What narrows the closing."""
        return {"volume": self.volume, "deviation": self.deviation}


class PositionCloseBy(_OfPosition):
    """POST /positions/{id}/close-by; `by` is the opposite position."""

    by: str

    def body(self) -> dict[str, Any]:
        """The other position."""
        return {"position_id": self.by}


class PositionReverse(_OfPosition):
    """POST /positions/{id}/reverse."""

    def body(self) -> dict[str, Any]:
        """Nothing is to be said."""
        return {}


class PositionCloseAll(TradeFrame):
    """POST /positions/close-all; what is left out does not narrow it."""

    symbol: str | None | UnsetType = UNSET
    magic: int | None | UnsetType = UNSET
    side: str | None | UnsetType = UNSET
    include_orders: bool | UnsetType = UNSET

    def body(self) -> dict[str, Any]:
        """What narrows it."""
        names = ("symbol", "magic", "side", "include_orders")
        told = {name: getattr(self, name) for name in names}
        return {name: value for name, value in told.items() if value is not UNSET}


TRADE_FRAMES: dict[str, type[TradeFrame]] = {
    "order.place": OrderPlace,
    "order.batch": OrderBatch,
    "order.modify": OrderModify,
    "order.cancel": OrderCancel,
    "position.modify": PositionModify,
    "position.close": PositionClose,
    "position.close_by": PositionCloseBy,
    "position.reverse": PositionReverse,
    "position.close_all": PositionCloseAll,
}
