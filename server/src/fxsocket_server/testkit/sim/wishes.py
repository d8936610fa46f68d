"""What a simulated bot wants next: every trade command, most often the plain ones."""

from collections.abc import Callable
from typing import Any

from fxsocket_server.testkit.rng import Chance
from fxsocket_server.testkit.sim.deeds import Deed
from fxsocket_server.testkit.sim.parts import SYMBOLS

_FAR_PRICES = {"EURUSD": 1.05, "USDJPY": 140.0}  # at which nothing fills
_BATCH = 4
_NUMBERS = 1_000_000  # magic numbers of one bot

Wish = Callable[[], Deed | None]


class Wishes:
    """Thinks of deeds from what the bot's earlier ones came to."""

    def __init__(self, bot: str, account_id: str, number: int, chance: Chance) -> None:
        self._bot = bot
        self._account_id = account_id
        self._number = _NUMBERS * (number + 1)
        self._chance = chance
        self.deeds: list[Deed] = []
        self._wishes: tuple[Wish, ...] = (
            *[self._close] * 5,
            *[self._cancel] * 2,
            *[self._modify] * 2,
            self._move_stops,
            self._reverse,
            self._close_by,
            self._close_all,
            self._batch,
            *[self.place] * 8,
        )

    def next(self) -> Deed:
        """Something that can be wanted now."""
        return self._chance.choice(self._wishes)() or self.place()

    def keep(self, deed: Deed) -> Deed:
        """Remember a deed."""
        self.deeds.append(deed)
        return deed

    def place(self) -> Deed:
        """An order of its own magic number."""
        order = self._order()
        return self._deed("POST", "/v1/orders", order, magics=(order["magic"],))

    def _order(self) -> dict[str, Any]:
        self._number += 1
        symbol = self._chance.choice(SYMBOLS)
        type_ = self._chance.choice(("BUY", "SELL", "BUY", "SELL", "BUY_LIMIT", "SELL_LIMIT"))
        order: dict[str, Any] = {"symbol": symbol, "type": type_, "magic": self._number}
        order["volume"] = (1 + self._chance.below(20)) / 100
        if "LIMIT" in type_:
            order["price"] = _FAR_PRICES[symbol] if "BUY" in type_ else 200.0
        return order

    def _batch(self) -> Deed:
        orders = [self._order() for _ in range(1 + self._chance.below(_BATCH))]
        magics = tuple(order["magic"] for order in orders)
        return self._deed("POST", "/v1/orders/batch", {"orders": orders}, magics=magics)

    # --- of what was placed ------------------------------------------------------------------

    def _became(self, status: str) -> list[dict[str, Any]]:
        return [deed.view for deed in self.deeds if deed.became(status)]

    def _position(self) -> str | None:
        filled = self._became("FILLED")
        return self._chance.choice(filled)["position_id"] if filled else None

    def _close(self) -> Deed | None:
        position_id = self._position()
        part = self._chance.choice(("", "", "?volume=0.01"))
        if position_id is None:
            return None
        return self._deed("DELETE", f"/v1/positions/{position_id}{part}")

    def _cancel(self) -> Deed | None:
        """Of a filled order, its part of the position is closed."""
        placed = self._became(self._chance.choice(("PLACED", "PLACED", "FILLED")))
        if not placed:
            return None
        return self._deed("DELETE", f"/v1/orders/{self._chance.choice(placed)['id']}")

    def _modify(self) -> Deed | None:
        placed = self._became("PLACED")
        if not placed:
            return None
        order = self._chance.choice(placed)
        sl = round(order["requested_price"] * (0.97 if "BUY" in order["type"] else 1.03), 3)
        return self._deed("PATCH", f"/v1/orders/{order['id']}", {"sl": sl})

    def _move_stops(self) -> Deed | None:
        filled = self._became("FILLED")
        if not filled:
            return None
        order = self._chance.choice(filled)
        far = 0.5 if order["type"] == "BUY" else 2
        body = {"sl": round(order["price"] * far, 3)}
        return self._deed("PATCH", f"/v1/positions/{order['position_id']}", body)

    def _reverse(self) -> Deed | None:
        position_id = self._position()
        if position_id is None:
            return None
        return self._deed("POST", f"/v1/positions/{position_id}/reverse", {})

    def _close_by(self) -> Deed | None:
        filled = self._became("FILLED")
        pairs = [
            (one["position_id"], other["position_id"])
            for one in filled
            for other in filled
            if one["type"] != other["type"] and one["symbol"] == other["symbol"]
        ]
        if not pairs:
            return None
        one, other = self._chance.choice(pairs)
        return self._deed("POST", f"/v1/positions/{one}/close-by", {"position_id": other})

    def _close_all(self) -> Deed:
        """All of one's own by magic, a symbol or a side; now and then with the orders."""
        last = self.deeds[-1].magics if self.deeds else ()
        filters: tuple[dict[str, Any], ...] = (
            {"symbol": self._chance.choice(SYMBOLS)},
            {"side": self._chance.choice(("BUY", "SELL")), "include_orders": True},
            {"magic": last[0]} if last else {"include_orders": True},
        )
        return self._deed("POST", "/v1/positions/close-all", self._chance.choice(filters))

    def _deed(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        magics: tuple[int, ...] = (),
    ) -> Deed:
        self._number += 1
        return self.keep(
            Deed(
                bot=self._bot,
                account_id=self._account_id,
                method=method,
                path=path,
                key=f"{self._bot}-{self._number}",
                body=body,
                number=self._number,
                magics=magics,
                replies=[],
            )
        )
