"""Everything that is read from journal.db, on a connection that cannot write.

Each read finds its rows by an index; those that are asked for while orders are placed cost the same
however long the journal is.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from fxsocket_server.gateway.changes import (
    EquitySample,
    Event,
    HistoryQuery,
    Mark,
    OrderQuery,
    StoredCommand,
    Table,
)
from fxsocket_server.model.enums import DONE_STATUSES, DealEntry, OrderStatus
from fxsocket_server.model.facts import TradeRequest
from fxsocket_server.model.records import Deal, Order, Position
from fxsocket_server.storage.journal.rows import decode_deal, decode_order, decode_position

_decode_request = msgspec.msgpack.Decoder(TradeRequest).decode
AccountRow = tuple[str, int, int, bytes | None, bytes | None]
_COMMAND_COLUMNS = (
    "command_id, user_id, account_id, key, kind, subject_id, fingerprint, created_ms,"
    " answer_status, answer_body, api_key_id, order_id, request, plan, delivered"
)
_COMMAND_NAMES = tuple(name.strip() for name in _COMMAND_COLUMNS.split(","))
_LIVE = frozenset(s.value for s in OrderStatus if s not in DONE_STATUSES)
# Spelled out, not bound: only so does SQLite see that the partial index orders_live serves it.
_IS_LIVE = "status IN ('PENDING', 'PLACED', 'PARTIALLY_FILLED', 'UNKNOWN')"


class JournalReads:
    """The reading half of the journal; `_read` is a connection of its own."""

    _read: sqlite3.Connection

    # --- accounts ----------------------------------------------------------------------------

    def _account(self, account_id: str) -> AccountRow | None:
        sql = "SELECT epoch, balance, credit, checkpoint, risk FROM accounts WHERE account_id = ?"
        row: AccountRow | None = self._read.execute(sql, (account_id,)).fetchone()
        return row

    def _head_seq(self, account_id: str) -> int:
        sql = "SELECT seq FROM heads WHERE account_id = ?"
        return int(self._read.execute(sql, (account_id,)).fetchone()[0])

    def _last_deal_ms(self, account_id: str) -> int:
        sql = "SELECT COALESCE(MAX(time_ms), 0) FROM deals WHERE account_id = ?"
        return int(self._read.execute(sql, (account_id,)).fetchone()[0])

    def _last_ticket(self, table: Table, account_id: str) -> int:
        sql = "SELECT COALESCE(MAX(ticket), 0) FROM " + table + " WHERE account_id = ?"
        return int(self._read.execute(sql, (account_id,)).fetchone()[0])

    def _live_orders(self, account_id: str) -> list[Order]:
        sql = "SELECT body FROM orders WHERE account_id = ? AND " + _IS_LIVE + " ORDER BY n"
        return [decode_order(body) for (body,) in self._read.execute(sql, (account_id,))]

    def _open_positions(self, account_id: str) -> list[Position]:
        sql = "SELECT body FROM positions WHERE account_id = ? AND status = 'OPEN' ORDER BY n"
        return [decode_position(body) for (body,) in self._read.execute(sql, (account_id,))]

    # --- records -----------------------------------------------------------------------------

    def command(self, account_id: str, key: str) -> StoredCommand | None:
        """The command that used an idempotency key."""
        sql = "SELECT " + _COMMAND_COLUMNS + " FROM commands WHERE account_id = ? AND key = ?"
        row = self._read.execute(sql, (account_id, key)).fetchone()
        return None if row is None else _command_of(row)

    def command_by_id(self, account_id: str, command_id: str) -> StoredCommand | None:
        """A command by its own id."""
        sql = "SELECT " + _COMMAND_COLUMNS + " FROM commands WHERE command_id = ?"
        row = self._read.execute(sql, (command_id,)).fetchone()
        stored = None if row is None else _command_of(row)
        return stored if stored is not None and stored.account_id == account_id else None

    def undelivered(self, account_id: str, since_ms: int) -> list[StoredCommand]:
        """Commands without a key whose answers are not known to have arrived, oldest first.

        Those made since a moment, and those that have no outcome yet.
        """
        sql = (
            "SELECT " + _COMMAND_COLUMNS + " FROM commands"
            " WHERE account_id = ? AND key IS NULL AND delivered = 0"
            " AND (created_ms >= ? OR answer_status IS NULL) ORDER BY command_id"
        )
        return [_command_of(row) for row in self._read.execute(sql, (account_id, since_ms))]

    def open_commands(self, account_id: str) -> list[StoredCommand]:
        """Commands whose answer is not final."""
        sql = (
            "SELECT " + _COMMAND_COLUMNS + " FROM commands"
            " WHERE account_id = ? AND answer_status IS NULL"
        )
        return [_command_of(row) for row in self._read.execute(sql, (account_id,))]

    def placed_since(self, account_id: str, since_ms: int, limit: int) -> list[tuple[str, int]]:
        """API key and wall-clock time of the newest commands that placed an order, oldest first.

        Orders that only closed part of a netted position are left out.
        """
        sql = (
            "SELECT api_key_id, created_ms, order_id FROM commands"
            " WHERE created_ms > ? AND account_id = ? AND kind = 'order.place'"
            " ORDER BY created_ms DESC LIMIT ?"
        )
        rows = self._read.execute(sql, (since_ms, account_id, limit)).fetchall()
        return [
            (key_id, created_ms)
            for key_id, created_ms, order_id in reversed(rows)
            if not self._only_closed(account_id, order_id)
        ]

    def commands_of_orders(self, account_id: str) -> dict[str, tuple[str, str]]:
        """The kind of the command that made each order, and what it was about."""
        sql = (
            "SELECT order_id, kind, subject_id FROM commands"
            " WHERE account_id = ? AND order_id IS NOT NULL"
        )
        rows = self._read.execute(sql, (account_id,))
        return {order_id: (kind, subject_id) for order_id, kind, subject_id in rows}

    def _only_closed(self, account_id: str, order_id: str) -> bool:
        entries = {deal.entry for deal in self.deals_of_order(account_id, order_id)}
        return entries == {DealEntry.OUT}

    def order(self, account_id: str, order_id: str) -> Order | None:
        """One order by id."""
        sql = "SELECT body FROM orders WHERE id = ? AND account_id = ?"
        row = self._read.execute(sql, (order_id, account_id)).fetchone()
        return None if row is None else decode_order(row[0])

    def order_by_client_id(self, account_id: str, client_order_id: str) -> Order | None:
        """The newest order with a client's own id."""
        sql = (
            "SELECT body FROM orders WHERE account_id = ? AND client_order_id = ?"
            " ORDER BY n DESC LIMIT 1"
        )
        row = self._read.execute(sql, (account_id, client_order_id)).fetchone()
        return None if row is None else decode_order(row[0])

    def order_by_ticket(self, account_id: str, ticket: int) -> Order | None:
        """The order that the broker knows by a number."""
        sql = "SELECT body FROM orders WHERE account_id = ? AND ticket = ?"
        row = self._read.execute(sql, (account_id, ticket)).fetchone()
        return None if row is None else decode_order(row[0])

    def order_by_tag(self, account_id: str, tag: str) -> Order | None:
        """The order of a command that was handed to a terminal outside, by its tag."""
        sql = "SELECT body FROM orders WHERE account_id = ? AND tag = ?"
        row = self._read.execute(sql, (account_id, tag)).fetchone()
        return None if row is None else decode_order(row[0])

    def orders(self, query: OrderQuery) -> list[tuple[int, Order]]:
        """Orders newest first, each with its row number (the cursor)."""
        where, values = _filters(query, "orders", "created_ms", "<")
        sql = "SELECT n, body FROM orders" + where + " ORDER BY created_ms DESC, n DESC LIMIT ?"
        rows = self._read.execute(sql, (*values, query.limit))
        return [(n, decode_order(body)) for n, body in rows]

    def deals(self, query: OrderQuery) -> list[tuple[int, Deal]]:
        """Deals oldest first, each with its row number (the cursor)."""
        where, values = _filters(query, "deals", "time_ms", ">")
        sql = "SELECT n, body FROM deals" + where + " ORDER BY time_ms, n LIMIT ?"
        rows = self._read.execute(sql, (*values, query.limit))
        return [(n, decode_deal(body)) for n, body in rows]

    def position(self, account_id: str, position_id: str) -> Position | None:
        """One position by id."""
        sql = "SELECT body FROM positions WHERE id = ? AND account_id = ?"
        row = self._read.execute(sql, (position_id, account_id)).fetchone()
        return None if row is None else decode_position(row[0])

    def is_booked(self, account_id: str, table: Table, ticket: int) -> bool:
        """Whether a record of the broker's number is durable already."""
        sql = "SELECT 1 FROM " + table + " WHERE account_id = ? AND ticket = ?"
        return self._read.execute(sql, (account_id, ticket)).fetchone() is not None

    def deals_of_order(self, account_id: str, order_id: str) -> list[Deal]:
        """The deals that an order made, oldest first."""
        sql = "SELECT body FROM deals WHERE account_id = ? AND order_id = ? ORDER BY n"
        return [decode_deal(body) for (body,) in self._read.execute(sql, (account_id, order_id))]

    def closing_deals(self, account_id: str, position_id: str) -> list[Deal]:
        """The deals that closed a position, oldest first."""
        sql = (
            "SELECT body FROM deals WHERE account_id = ? AND position_id = ? AND closing = 1"
            " ORDER BY n"
        )
        rows = self._read.execute(sql, (account_id, position_id))
        return [decode_deal(body) for (body,) in rows]

    def done_orders(self, query: HistoryQuery) -> list[tuple[Mark, Order]]:
        """Orders that are done, oldest first by when they were."""
        rows = self._history("orders", "done_ms", query)
        return [((ms, n), decode_order(body)) for ms, n, body in rows]

    def closed_positions(self, query: HistoryQuery) -> list[tuple[Mark, Position]]:
        """Positions that are closed, oldest first by when they were."""
        rows = self._history("positions", "closed_ms", query)
        return [((ms, n), decode_position(body)) for ms, n, body in rows]

    def _history(self, table: Table, column: str, query: HistoryQuery) -> sqlite3.Cursor:
        # Table and column are words of this module, never of a client.
        where, values = _clauses(
            ("account_id = ?", query.account_id),
            (column + " >= ?", query.from_ms),
            (column + " < ?", query.to_ms),
            ("symbol = ?", query.symbol),
            ("magic = ?", query.magic),
        )
        ms, n = query.after or (-1, -1)
        index = "orders_done" if table == "orders" else "positions_closed"
        index = "orders_done" if table == "orders" else "positions_closed"
        place = "(" + column + ", n)"
        sql = (
            "SELECT " + column + ", n, body FROM " + table + " INDEXED BY " + index
            + " WHERE " + where + " AND " + column + " IS NOT NULL AND " + place + " > (?, ?)"
            + " ORDER BY " + column + ", n LIMIT ?"
        )  # fmt: skip
        return self._read.execute(sql, (*values, ms, n, query.limit))

    def deals_of(self, account_id: str, position_ids: Sequence[str]) -> list[Deal]:
        """All deals of some positions (at most 500), oldest first."""
        marks = ",".join("?" * len(position_ids))
        sql = (
            "SELECT body FROM deals WHERE account_id = ? AND position_id IN ("
            + marks + ") ORDER BY n"
        )  # fmt: skip
        rows = self._read.execute(sql, (account_id, *position_ids))
        return [decode_deal(body) for (body,) in rows]

    def equity_samples(
        self, account_id: str, from_ms: int, to_ms: int, limit: int
    ) -> list[EquitySample]:
        """Samples of the minutes in [from_ms, to_ms) of the broker's clock, oldest first."""
        sql = (
            "SELECT account_id, minute_ms, user_id, balance, credit, equity, margin FROM equity"
            " WHERE account_id = ? AND minute_ms >= ? AND minute_ms < ? ORDER BY minute_ms LIMIT ?"
        )
        rows = self._read.execute(sql, (account_id, from_ms, to_ms, limit))
        return [EquitySample(*row) for row in rows]

    def events(self, account_id: str, after: int, limit: int) -> list[Event]:
        """Committed events above `after`, in order."""
        sql = (
            "SELECT account_id, seq, type, time_ms, payload FROM events"
            " WHERE account_id = ? AND seq > ? ORDER BY seq LIMIT ?"
        )
        return [Event(*row) for row in self._read.execute(sql, (account_id, after, limit))]


def _filters(query: OrderQuery, table: str, time: str, after: str) -> tuple[str, list[object]]:
    """The WHERE clause of a query and its values; its words are this module's, never a client's.

    A page begins after the row that the cursor names, in the order of the table's page index.
    """
    cursor = f"({time}, n) {after} (SELECT {time}, n FROM {table} WHERE n = ?)"
    where, values = _clauses(
        ("account_id = ?", query.account_id),
        (cursor, query.cursor),
        (time + " >= ?", query.from_ms),
        (time + " < ?", query.to_ms),
        ("symbol = ?", query.symbol),
        ("magic = ?", query.magic),
    )
    index = table + "_page"
    if query.statuses:
        where += " AND status IN (" + ",".join("?" * len(query.statuses)) + ")"
        values += query.statuses
        if _LIVE.issuperset(query.statuses):
            where += " AND " + _IS_LIVE
            index = "orders_live"
    return f" INDEXED BY {index} WHERE {where}", values


def _clauses(*wanted: tuple[str, object]) -> tuple[str, list[object]]:
    """Those clauses that have a value, joined, and the values."""
    used = [(clause, value) for clause, value in wanted if value is not None]
    return " AND ".join(clause for clause, _ in used), [value for _, value in used]


def _command_of(row: tuple[object, ...]) -> StoredCommand:
    values = dict(zip(_COMMAND_NAMES, row, strict=True))
    request = values["request"]
    if isinstance(request, bytes):
        values["request"] = _decode_request(request)
    values["delivered"] = bool(values["delivered"])
    return msgspec.convert(values, StoredCommand)
