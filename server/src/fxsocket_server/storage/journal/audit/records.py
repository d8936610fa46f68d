"""Verifies that the records of an account are what its events tell: replay = state."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from fxsocket_server.gateway.payloads import (
    balance_payload,
    deal_payload,
    order_payload,
    position_payload,
)
from fxsocket_server.gateway.replay import BALANCE, BadPayload, Replay, differing
from fxsocket_server.model.conversion import currency_digits
from fxsocket_server.model.records import Deal, Order, Position
from fxsocket_server.storage.journal.audit.progress import Progress
from fxsocket_server.storage.journal.audit.report import AccountReport, AuditReport, Subject
from fxsocket_server.storage.journal.rows import (
    DEAL_COLUMNS,
    ORDER_COLUMNS,
    POSITION_COLUMNS,
    Row,
    deal_row,
    decode_deal,
    decode_order,
    decode_position,
    order_row,
    position_row,
)

R = TypeVar("R", Order, Deal, Position)

# When a record was done first is kept though it may be corrected later.
_KEPT_COLUMNS = ("done_ms", "closed_ms", "body")


class _Kind(Struct, Generic[R], frozen=True):
    """How one kind of record is read and made again."""

    name: Subject
    columns: str
    decode: Callable[[bytes], R]
    row: Callable[[R], Row]


_ORDERS = _Kind("order", ORDER_COLUMNS, decode_order, order_row)
_DEALS = _Kind("deal", DEAL_COLUMNS, decode_deal, deal_row)
_POSITIONS = _Kind("position", POSITION_COLUMNS, decode_position, position_row)


class RecordAudit:
    """Compares each record of an account with the newest event about it."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        report: AuditReport,
        account: AccountReport,
        replay: Replay,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._report = report
        self._account = account
        self._untold = dict(replay.newest)
        self._progress = progress
        progress.more(len(self._untold))
        self._currency = replay.currency or ""
        self._money_digits = currency_digits(self._currency)

    def orders(self) -> Iterator[Order]:
        """Verify each order and yield it."""
        for order in self._records("orders", _ORDERS):
            self._account.orders += 1
            self._compare("order", order.id, order_payload(order))
            yield order

    def deals(self) -> Iterator[Deal]:
        """Verify each deal and yield it."""
        for deal in self._records("deals", _DEALS):
            self._account.deals += 1
            self._compare("deal", deal.id, deal_payload(deal, self._money_digits))
            yield deal

    def positions(self) -> Iterator[Position]:
        """Verify each position and yield it."""
        for position in self._records("positions", _POSITIONS):
            self._account.positions += 1
            payload = position_payload(position, self._money_digits)
            self._compare("position", position.id, payload)
            yield position

    def balance(self, balance: int, credit: int) -> None:
        """Verify the account's balance and credit."""
        if BALANCE in self._untold:
            payload = balance_payload(balance, credit, self._currency, self._money_digits)
            self._compare("balance", BALANCE, payload)
        elif (balance, credit) != (0, 0):
            self._find("balance", "no event tells of the account's balance", None)

    def rest(self) -> None:
        """Find the records that events tell of and no table holds; call it last."""
        for record_id, seq in self._untold.items():
            self._find("row", f"no table holds {record_id}", seq)

    def _records(self, table: str, kind: _Kind[R]) -> Iterator[R]:
        sql = "SELECT " + kind.columns + " FROM " + table + " WHERE account_id = ? ORDER BY n"
        names = [name.strip() for name in kind.columns.split(",")]
        checked = [n for n, name in enumerate(names) if name not in _KEPT_COLUMNS]
        for row in self._connection.execute(sql, (self._account.account_id,)):
            self._progress.row()
            try:
                record = kind.decode(row[-1])
            except (msgspec.DecodeError, TypeError) as error:
                self._find(kind.name, f"the record of {row[0]} cannot be read: {error}", None)
                continue
            again = kind.row(record)
            for n in checked:
                if row[n] != again[n]:
                    detail = f"{names[n]} of {record.id} is {row[n]!r}, its record has {again[n]!r}"
                    self._find(kind.name, detail, None)
            yield record

    def _compare(self, subject: Subject, id_: str, payload: bytes) -> None:
        seq = self._untold.pop(id_, None)
        if seq is None:
            self._find(subject, f"no event tells of {id_}", None)
            return
        sql = "SELECT payload FROM events WHERE account_id = ? AND seq = ?"
        (told,) = self._connection.execute(sql, (self._account.account_id, seq)).fetchone()
        with suppress(BadPayload):  # which the walk of the log has found
            for name in differing(told, payload):
                self._find(subject, f"{name} of {id_} is not what its newest event says", seq)

    def _find(self, subject: Subject, detail: str, seq: int | None) -> None:
        self._report.find(subject, detail, self._account.account_id, seq)
