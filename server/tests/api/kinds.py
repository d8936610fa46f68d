"""An account of each kind, with the smallest order of a symbol that it trades."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from .client import Api, body
from .world import World


class Kind(Struct, frozen=True):
    """A kind of account: its profile, a symbol, its lots, and where its market stands."""

    profile: str
    symbol: str
    lots: float
    bid: float
    ask: float
    step: float  # a move that is far from every level

    @property
    def nets(self) -> bool:
        """Whether a symbol has one position at most."""
        return self.profile in ("netting", "exchange")

    @property
    def is_mt4(self) -> bool:
        """Whether MetaTrader 4's rules hold."""
        return self.profile == "mt4"


KINDS = (
    Kind("standard", "EURUSD", 0.1, 1.0834, 1.0835, 0.01),
    Kind("netting", "EURUSD", 0.1, 1.0834, 1.0835, 0.01),
    Kind("exchange", "ACME", 10.0, 132.5, 132.52, 5.0),
    Kind("mt4", "EURUSD", 0.1, 1.0834, 1.0835, 0.01),
)


class Trader:
    """A client of a new account of a kind."""

    def __init__(self, world: World, connect: Callable[..., Api], kind: Kind) -> None:
        self.kind = kind
        self.account = world.add_account(profile=kind.profile, balance=100_000)
        self.api = connect(world.add_key(accounts=(self.account,)))
        self.to(0)

    def to(self, steps: float) -> None:
        """Put the market some steps away from where it began."""
        away = steps * self.kind.step
        self.api.set_price(
            self.kind.symbol, round(self.kind.bid + away, 5), round(self.kind.ask + away, 5)
        )

    def order(self, type_: str = "BUY", times: float = 1, **more: Any) -> dict[str, Any]:
        """The body of an order of some times the kind's lots."""
        volume = round(self.kind.lots * times, 2)
        return {"symbol": self.kind.symbol, "type": type_, "volume": volume, **more}

    def place(self, type_: str = "BUY", times: float = 1, **more: Any) -> Any:
        """An order, accepted."""
        return body(self.api.call("POST", "/orders", json=self.order(type_, times, **more)))

    def resting(self, type_: str = "BUY_LIMIT", **more: Any) -> Any:
        """An order that rests a step away."""
        away = -1 if type_ in ("BUY_LIMIT", "SELL_STOP") else 1
        return self.place(type_, price=round(self.kind.bid + away * self.kind.step, 5), **more)

    def post(self, path: str, json: Any = None, **headers: str) -> Any:
        """The JSON of a successful POST."""
        return body(self.api.call("POST", path, json={} if json is None else json, headers=headers))

    def held(self) -> dict[str, tuple[str, float]]:
        """Open positions: side and lots by id."""
        return {p["id"]: (p["type"], p["volume"]) for p in self.api.get("/positions")}
