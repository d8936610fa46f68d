"""The risk rules of one account at work in its lane: what was decided there is reserved there."""

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.core.codec import encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import Change
from fxsocket_server.gateway.commands import Command
from fxsocket_server.gateway.ports import TickMessage
from fxsocket_server.gateway.risk.decide import Opening, broken_loss, check_opening
from fxsocket_server.gateway.risk.exposure import added_volume, open_volume
from fxsocket_server.gateway.risk.rules import NO_RULES, RiskRules
from fxsocket_server.gateway.risk.state import RiskState, decoded, encoded
from fxsocket_server.model.enums import DealType
from fxsocket_server.model.records import Order

if TYPE_CHECKING:
    from fxsocket_server.gateway.lane import Lane

_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS
_PAID = (DealType.BALANCE, DealType.CREDIT, DealType.CORRECTION)


class RuleBook:
    """The rules in force, by account and by API key; `replace` puts others in their place."""

    def __init__(self) -> None:
        self.of_accounts: Mapping[str, RiskRules] = {}
        self.of_keys: Mapping[str, RiskRules] = {}

    def replace(
        self, of_accounts: Mapping[str, RiskRules], of_keys: Mapping[str, RiskRules]
    ) -> None:
        """Put other rules in force from the next command on."""
        self.of_accounts, self.of_keys = of_accounts, of_keys

    @property
    def limits_drawdown(self) -> bool:
        """Whether anybody's rules need to know the highest equity."""
        return any(rules.max_drawdown is not None for rules in self._every)

    @property
    def limits_rate(self) -> bool:
        """Whether anybody's rules count orders."""
        return any(rules.orders_per_minute is not None for rules in self._every)

    @property
    def _every(self) -> tuple[RiskRules, ...]:
        return (*self.of_accounts.values(), *self.of_keys.values())


class HaltView(Struct, frozen=True):
    """A halt in an event."""

    halted: bool
    reason: str


class RiskGuard:
    """Refuses what the rules of an account, or of the key that asks, do not allow.

    Only what opens is judged: closing, cancelling and new stops always pass.
    """

    def __init__(self, lane: "Lane", book: RuleBook, state: bytes | None) -> None:
        self._lane = lane
        self.book = book
        self._opened_ms: dict[str, deque[float]] = {}  # by whose rule it is
        self._equity: int | None = None
        self._midnight_ms = 0  # UTC, of the server day that comes
        self._saved = state
        self.state: RiskState = decoded(state)

    @property
    def rules(self) -> RiskRules:
        """The account's own rules."""
        return self.book.of_accounts.get(self._lane.account.id, NO_RULES)

    # --- orders ------------------------------------------------------------------------------

    def admit(self, command: Command, order: Order | None) -> None:
        """Raise unless an order may open what it opens; one that passes is counted.

        The lane records the order before anything else is decided: that reserves its volume.
        """
        for rules, whose in self.judge(command, order):
            self._count(rules, whose, self._lane.clock.monotonic_ms())

    def judge(self, command: Command, order: Order | None) -> list[tuple[RiskRules, str]]:
        """Raise unless an order may open what it opens; the rules that it is to count in."""
        of_key = self._rules_of(command.api_key_id)
        sets = [
            (rules, code, whose)
            for rules, code, whose in (
                (of_key, "key_limit", command.api_key_id),
                (self.rules, "risk_limit", ""),
            )
            if rules is not NO_RULES
        ]
        if order is None or (not sets and self.state.halted is None):
            return []
        added = self._added(order)
        if added <= 0:
            return []
        if self.state.halted is not None:
            raise Problem(
                "account_halted",
                f"the account is halted ({self.state.halted}); closing is allowed, opening is not "
                "before POST /v1/accounts/{id}/resume",
            )
        for rules, code, whose in sets:
            check_opening(rules, code, self.state, self._opening(order.symbol, added, rules, whose))
        return [(rules, whose) for rules, _, whose in sets]

    def _rules_of(self, key_id: str) -> RiskRules:
        return self.book.of_keys.get(key_id, NO_RULES)

    def _added(self, order: Order) -> int:
        book, mode = self._lane.book, self._lane.account.margin_mode
        return added_volume(mode, book.positions.values(), book.orders.values(), order)

    def _opening(self, symbol: str, added: int, rules: RiskRules, whose: str) -> Opening:
        lane = self._lane
        if rules.watch_equity:
            self.look()
        now = lane.connector.time_ms()
        opened = 0
        if rules.max_open_volume is not None:
            book, mode = lane.book, lane.account.margin_mode
            opened = open_volume(mode, book.positions.values(), book.orders.values())
        return Opening(
            symbol=symbol,
            added=added,
            open_volume=opened,
            utc_ms=now,
            server_ms=now + lane.connector.server_offset_s(now) * 1000,
            lately=self._lately(rules, whose),
            equity=self._equity or 0,
            currency=lane.account.currency,
            money_digits=lane.account.money_digits,
        )

    def _lately(self, rules: RiskRules, whose: str) -> int:
        opened = self._opened_ms.get(whose)
        if opened is None or rules.orders_per_minute is None:
            return 0
        while opened and opened[0] <= self._lane.clock.monotonic_ms() - _MINUTE_MS:
            opened.popleft()
        return len(opened)

    def _count(self, rules: RiskRules, whose: str, at_ms: float) -> None:
        if rules.orders_per_minute is not None:
            opened = self._opened_ms.setdefault(whose, deque(maxlen=limits.RISK_ORDERS_PER_MINUTE))
            opened.append(at_ms)

    def recall(self) -> None:
        """After a restart: count what the journal says was opened within the last minute."""
        if not self.book.limits_rate:
            return
        lane = self._lane
        wall_ms, now = lane.clock.wall_ms(), lane.clock.monotonic_ms()
        newest = lane.journal.placed_since(
            lane.account.id, wall_ms - _MINUTE_MS, limits.RISK_ORDERS_PER_MINUTE
        )
        for key_id, created_ms in newest:
            for rules, whose in ((self._rules_of(key_id), key_id), (self.rules, "")):
                self._count(rules, whose, now - max(0, wall_ms - created_ms))

    # --- equity ------------------------------------------------------------------------------

    def look(self) -> str | None:
        """Take note of the equity; returns the account's own loss rule that is broken, if any."""
        lane = self._lane
        now = lane.connector.time_ms()
        server_ms = now + lane.connector.server_offset_s(now) * 1000
        equity = lane.connector.figures().equity
        if not self.book.limits_drawdown:
            self.state.peak_equity = None
        elif self.state.peak_equity is None:
            self.state.peak_equity = equity
        self._midnight_ms = now - server_ms % _DAY_MS + _DAY_MS
        self.state.look(server_ms, equity, self._before(now, server_ms))
        self._equity = equity
        if not self.rules.watch_equity:
            return None
        return broken_loss(self.rules, self.state, self._opening_of_nothing(now, server_ms))

    def on_tick(self, message: object) -> None:
        """See the midnights of a replay, whose days pass as fast as its ticks."""
        if isinstance(message, TickMessage) and message.quote.time_ms >= self._midnight_ms:
            self.look()

    def _opening_of_nothing(self, now: int, server_ms: int) -> Opening:
        account = self._lane.account
        return Opening(
            symbol="",
            added=0,
            open_volume=0,
            utc_ms=now,
            server_ms=server_ms,
            lately=0,
            equity=self._equity or 0,
            currency=account.currency,
            money_digits=account.money_digits,
        )

    def _before(self, now: int, server_ms: int) -> int | None:
        """The last equity known of before this server day: seen here, or sampled earlier."""
        if self.state.day is None or server_ms // _DAY_MS <= self.state.day:
            return None
        if self._equity is not None:
            return self._equity
        midnight = now - server_ms % _DAY_MS
        samples = self._lane.journal.equity_samples(
            self._lane.account.id, midnight - _DAY_MS, midnight, 1_440
        )
        return samples[-1].equity if samples else None

    def on_change(self, change: Change) -> None:
        """Money that was paid in or out is neither won nor lost."""
        for deal in change.deals:
            if deal.type in _PAID and self.state.day is not None:
                self.state.paid(deal.profit)
                self._equity = None if self._equity is None else self._equity + deal.profit

    # --- halts -------------------------------------------------------------------------------

    async def halt(self, reason: str) -> None:
        """Stop opening until `resume`; durable when this returns."""
        if self.state.halted != reason:
            self.state.halted = reason
            await self._note("account.halted", HaltView(True, reason))

    async def resume(self, reason: str) -> None:
        """Allow opening again; the drawdown is counted anew from here."""
        if self.state.halted is None:
            return
        self.state.halted = self.state.flattened = None
        if self.state.peak_equity is not None:
            self.state.peak_equity = self._lane.connector.figures().equity
        await self._note("account.resumed", HaltView(False, reason))

    async def _note(self, event_type: str, view: HaltView) -> None:
        self._saved = encoded(self.state)
        await self._lane.note_event(event_type, b'"account":' + encode(view), risk=self._saved)

    # --- keeping -----------------------------------------------------------------------------

    def save(self) -> None:
        """Keep what has changed with the next commit."""
        body = encoded(self.state)
        if body != self._saved:
            self._saved = body
            self._lane.journal.save_risk(self._lane.account.id, body)

    def restore(self, state: bytes | None) -> None:
        """Go back to what is durable."""
        self._saved = state
        self.state = decoded(state)
