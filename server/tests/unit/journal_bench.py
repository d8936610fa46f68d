"""Records, changes and journals for the tests of journal.db."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from fxsocket_server.gateway.changes import Change, Event, OrderQuery, StoredCommand
from fxsocket_server.model.enums import (
    DealEntry,
    DealType,
    Filling,
    OrderStatus,
    OrderType,
    PositionStatus,
    Side,
)
from fxsocket_server.model.records import Deal, Order, Position
from fxsocket_server.storage.journal.sqlite import SqliteJournal

ACCOUNT, USER = "acc_1", "usr_1"


# --- records ---------------------------------------------------------------------------------


def event(seq: int, account: str = ACCOUNT) -> Event:
    return Event(account, seq, "order.filled", 1_000 + seq, b'"order":{"n":%d}' % seq)


def order(name: str, **parts: Any) -> Order:
    fields = {
        "id": name, "user_id": USER, "account_id": ACCOUNT, "client_order_id": None,
        "symbol": "EURUSD", "digits": 5, "type": OrderType.BUY, "status": OrderStatus.PLACED,
        "volume": 10**7, "filling": Filling.FOK, "created_ms": 1_000, "updated_ms": 1_000,
    }  # fmt: skip
    return Order(**{**fields, **parts})


def position(name: str, ticket: int, **parts: Any) -> Position:
    fields = {
        "id": name, "user_id": USER, "account_id": ACCOUNT, "ticket": ticket, "symbol": "EURUSD",
        "digits": 5, "side": Side.BUY, "status": PositionStatus.OPEN, "volume": 10**7,
        "open_price": 108_350, "opened_ms": 1_000, "updated_ms": 1_000,
    }  # fmt: skip
    return Position(**{**fields, **parts})


def deal(ticket: int, **parts: Any) -> Deal:
    fields = {
        "id": f"deal_{ticket}", "user_id": USER, "account_id": ACCOUNT, "ticket": ticket,
        "order_id": None, "position_id": None, "symbol": "EURUSD", "digits": 5,
        "type": DealType.BUY, "entry": DealEntry.IN, "volume": 10**7, "price": 108_350,
        "profit": 0, "time_ms": 1_000,
    }  # fmt: skip
    return Deal(**{**fields, **parts})


def command(name: str, key: str | None = None, **parts: Any) -> StoredCommand:
    fields = {
        "command_id": name, "user_id": USER, "account_id": ACCOUNT, "key": key,
        "kind": "order.place", "subject_id": "ord_1", "fingerprint": b"f", "created_ms": 1_000,
    }  # fmt: skip
    return StoredCommand(**{**fields, **parts})


def change(*records: Any, account: str = ACCOUNT, **parts: Any) -> Change:
    """A change of orders, positions, deals, events and a command."""

    def some(kind: type) -> list[Any]:
        return [record for record in records if isinstance(record, kind)]

    commands = some(StoredCommand)
    return Change(
        user_id=USER,
        account_id=account,
        time_ms=1_000,
        events=some(Event),
        orders={record.id: record for record in some(Order)},
        positions={record.id: record for record in some(Position)},
        deals=some(Deal),
        command=commands[0] if commands else None,
        **parts,
    )


def query(**parts: Any) -> OrderQuery:
    return OrderQuery(**{"account_id": ACCOUNT, "limit": 100, **parts})


# --- journals --------------------------------------------------------------------------------


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(path, asyncio.get_running_loop())
    journal.open_account(ACCOUNT, USER, "epoch-1")
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """While nobody can commit."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()
