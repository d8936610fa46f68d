"""What a simulated terminal and its broker remember: kill -9 loses nothing that was told.

The broker's side is orders, deals, positions and money, each row the newest fact. The terminal's
side is a journal of commands by tag (begun, done, or ruled out) and the events that the server has
not acknowledged. What a transaction wrote is with the operating system before anybody hears of it,
and on the disk where the ledger is `synced`: else a power cut can lose it.
"""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from fxsocket_server.broker.ledger import RESTING
from fxsocket_server.core import limits
from fxsocket_server.model.facts import (
    BalanceFact,
    DealFact,
    Fact,
    OrderFact,
    PositionFact,
    Report,
    TerminalHistory,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (ticket INTEGER PRIMARY KEY, tag TEXT NOT NULL,
  is_open INTEGER NOT NULL, time_ms INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS deals (ticket INTEGER PRIMARY KEY, tag TEXT NOT NULL,
  order_ticket INTEGER, time_ms INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS positions (ticket INTEGER PRIMARY KEY, tag TEXT NOT NULL,
  is_open INTEGER NOT NULL, time_ms INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS commands (number INTEGER PRIMARY KEY, tag TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL, time_ms INTEGER NOT NULL, report BLOB);
CREATE TABLE IF NOT EXISTS events (q INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL,
  facts BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS orders_by_tag ON orders (tag) WHERE tag != '';
CREATE INDEX IF NOT EXISTS deals_by_order ON deals (order_ticket);
CREATE INDEX IF NOT EXISTS orders_by_time ON orders (time_ms) WHERE is_open = 0;
CREATE INDEX IF NOT EXISTS deals_by_time ON deals (time_ms);
"""

VERSION = 1
_TAG_CHARS = 11

_encode = msgspec.json.Encoder().encode
_order = msgspec.json.Decoder(OrderFact).decode
_deal = msgspec.json.Decoder(DealFact).decode
_position = msgspec.json.Decoder(PositionFact).decode
_facts = msgspec.json.Decoder(tuple[Fact, ...]).decode
_report = msgspec.json.Decoder(Report).decode


def tag_in(comment: str) -> str:
    """The tag that a comment begins with, without its space; "" when it has none."""
    return comment[:_TAG_CHARS].rstrip() if comment.startswith("~") else ""


class LedgerError(ValueError):
    """A file that is no ledger, or that of a newer terminal; the text names it."""


class TerminalLedger:
    """One terminal's ledger.db; every method is one transaction. LedgerError if it is none."""

    def __init__(self, path: Path, *, synced: bool = False) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = " + ("FULL" if synced else "OFF"))
            self._migrate(path)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise LedgerError(f"{path} is damaged: {error}") from None

    def _migrate(self, path: Path) -> None:
        """Make the tables; the first terminals did not number their ledgers."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            self._db.close()
            raise LedgerError(
                f"{path} has version {version}, this terminal knows {VERSION}: "
                "start the newer terminal that wrote it"
            )
        if version < VERSION:
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version = {VERSION:d}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- notes -------------------------------------------------------------------------------

    def note(self, name: str) -> bytes | None:
        """A value that was kept under a name."""
        row = self._db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def keep(self, name: str, value: bytes) -> None:
        """Keep a value under a name."""
        self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    # --- the broker's side -------------------------------------------------------------------

    def book(self, facts: tuple[Fact, ...], time_ms: int) -> int:
        """Make facts true, and an event of them; returns its number."""
        self._db.execute("BEGIN")
        for fact in facts:
            self._book(fact)
        cursor = self._db.execute(
            "INSERT INTO events (time_ms, facts) VALUES (?, ?)", (time_ms, _encode(facts))
        )
        q = int(cursor.lastrowid or 0)
        self._db.execute("DELETE FROM events WHERE q <= ?", (q - limits.TERMINAL_KEPT_EVENTS,))
        self._db.execute("COMMIT")
        return q

    def _book(self, fact: Fact) -> None:
        if isinstance(fact, BalanceFact):
            self.keep("money", _encode((fact.balance, fact.credit)))
        elif isinstance(fact, DealFact):
            row = (fact.ticket, tag_in(fact.comment), fact.order_ticket, fact.time_ms)
            self._db.execute("INSERT OR IGNORE INTO deals VALUES (?, ?, ?, ?, ?)", _with(row, fact))
        elif isinstance(fact, OrderFact):
            row = (fact.ticket, tag_in(fact.comment), fact.status in RESTING, fact.time_ms)
            self._db.execute(
                "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?)", _with(row, fact)
            )
        else:
            row = (fact.ticket, tag_in(fact.comment), fact.volume > 0, fact.time_ms)
            self._db.execute(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?)", _with(row, fact)
            )

    @property
    def money(self) -> tuple[int, int]:
        """Balance and credit."""
        kept = self.note("money")
        return (0, 0) if kept is None else msgspec.json.decode(kept, type=tuple[int, int])

    def last_ticket(self, table: str) -> int:
        """The highest number in `orders`, `positions` or `deals`, 0 without any."""
        (ticket,) = self._db.execute("SELECT max(ticket) FROM " + table).fetchone()
        return ticket or 0

    def orders(self, *, only_open: bool = False) -> tuple[OrderFact, ...]:
        """Orders by ticket."""
        return tuple(map(_order, self._bodies("orders", only_open)))

    def deals(self) -> tuple[DealFact, ...]:
        """Deals by ticket."""
        return tuple(map(_deal, self._bodies("deals", False)))

    def positions(self, *, only_open: bool = False) -> tuple[PositionFact, ...]:
        """Positions by ticket, closed ones with volume 0."""
        return tuple(map(_position, self._bodies("positions", only_open)))

    def _bodies(self, table: str, only_open: bool) -> list[bytes]:
        where = " WHERE is_open = 1" if only_open else ""
        rows = self._db.execute("SELECT body FROM " + table + where + " ORDER BY ticket")
        return [body for (body,) in rows]

    def history(self, from_ms: int) -> TerminalHistory:
        """Done orders and deals since a moment, oldest first."""
        orders = self._db.execute(
            "SELECT body FROM orders WHERE is_open = 0 AND time_ms >= ? ORDER BY time_ms, ticket",
            (from_ms,),
        )
        deals = self._db.execute(
            "SELECT body FROM deals WHERE time_ms >= ? ORDER BY time_ms, ticket", (from_ms,)
        )
        return TerminalHistory(
            orders=tuple(_order(body) for (body,) in orders),
            deals=tuple(_deal(body) for (body,) in deals),
        )

    def facts_of_tag(self, tag: str) -> tuple[Fact, ...]:
        """The orders whose comment begins with a tag, their deals and positions, as they stand."""
        rows = self._db.execute(
            "SELECT body FROM orders WHERE tag = ? AND tag != '' ORDER BY ticket", (tag_in(tag),)
        )
        facts: list[Fact] = []
        for (body,) in rows:
            facts += self._of_order(_order(body))
        return tuple(facts)

    def _of_order(self, order: OrderFact) -> list[Fact]:
        deals = self._db.execute(
            "SELECT body FROM deals WHERE order_ticket = ? ORDER BY ticket", (order.ticket,)
        )
        position = self._row("positions", order.position_ticket or 0)
        found: list[Fact] = [order, *(_deal(body) for (body,) in deals)]
        return found if position is None else [*found, _position(position)]

    def _row(self, table: str, ticket: int) -> bytes | None:
        query = "SELECT body FROM " + table + " WHERE ticket = ?"
        found = self._db.execute(query, (ticket,)).fetchone()
        return None if found is None else found[0]

    def as_it_stands(self, facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
        """Facts of before, each as its order or position stands now; the balance is left out."""
        newest: list[Fact] = []
        for fact in facts:
            if isinstance(fact, OrderFact):
                newest.append(_order(self._row("orders", fact.ticket) or _encode(fact)))
            elif isinstance(fact, PositionFact):
                newest.append(_position(self._row("positions", fact.ticket) or _encode(fact)))
            elif isinstance(fact, DealFact):
                newest.append(fact)
        return tuple(newest)

    # --- the terminal's side -----------------------------------------------------------------

    def command(self, tag: str) -> tuple[str, Report | None] | None:
        """What the journal has of a tag: STARTED, DONE with its report, or NONE for ruled out."""
        row = self._db.execute(
            "SELECT state, report FROM commands WHERE tag = ?", (tag,)
        ).fetchone()
        return None if row is None else (row[0], None if row[1] is None else _report(row[1]))

    def begun(self) -> list[str]:
        """The tags that were begun, and whose end nobody wrote down."""
        rows = self._db.execute("SELECT tag FROM commands WHERE state = 'STARTED' ORDER BY number")
        return [tag for (tag,) in rows]

    def start(self, tag: str, time_ms: int) -> None:
        """A command begins."""
        self._db.execute(
            "INSERT INTO commands (tag, state, time_ms) VALUES (?, 'STARTED', ?)", (tag, time_ms)
        )

    def rule_out(self, tag: str, time_ms: int) -> None:
        """A command that has not begun never will."""
        self._db.execute(
            "INSERT OR IGNORE INTO commands (tag, state, time_ms) VALUES (?, 'NONE', ?)",
            (tag, time_ms),
        )

    def finish(self, tag: str, report: Report) -> None:
        """A command is done; the oldest results are forgotten."""
        self._db.execute("BEGIN")
        self._db.execute(
            "UPDATE commands SET state = 'DONE', report = ? WHERE tag = ?", (_encode(report), tag)
        )
        gone = self._db.execute(
            "DELETE FROM commands WHERE state != 'STARTED' AND number <= "
            "(SELECT max(number) FROM commands) - ? RETURNING time_ms",
            (limits.TERMINAL_JOURNAL_COMMANDS,),
        ).fetchall()
        if gone:
            self.keep("forgotten", _encode(max(self.forgotten_ms, *gone[0])))
        self._db.execute("COMMIT")

    @property
    def forgotten_ms(self) -> int:
        """The time of the newest command that is forgotten; of later ones all are known."""
        kept = self.note("forgotten")
        return 0 if kept is None else msgspec.json.decode(kept, type=int)

    def head_q(self) -> int:
        """The number of the newest event, acknowledged or not."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return 0 if row is None else int(row[0])

    def events(self) -> list[tuple[int, int, tuple[Fact, ...]]]:
        """Number, time and facts of the events that are not acknowledged, oldest first."""
        rows = self._db.execute("SELECT q, time_ms, facts FROM events ORDER BY q")
        return [(q, time_ms, _facts(facts)) for q, time_ms, facts in rows]

    def acknowledge(self, q: int) -> None:
        """Forget events up to a number; facts stay."""
        self._db.execute("DELETE FROM events WHERE q <= ?", (q,))


def _with(row: tuple[Any, ...], fact: Fact) -> tuple[Any, ...]:
    return (*row, _encode(fact))
