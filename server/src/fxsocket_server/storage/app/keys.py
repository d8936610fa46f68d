"""API keys, what they did, and the audit log in app.db: never read per request."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, Engine, and_, func, insert, or_, select, tuple_, update

from fxsocket_server.core import limits
from fxsocket_server.gateway.keys.ports import (
    AuditEntry,
    AuditQuery,
    RuleTexts,
    UsageQuery,
    UsageRow,
)
from fxsocket_server.security.keys import ApiKey
from fxsocket_server.security.principal import Scope
from fxsocket_server.storage.app.tables import api_keys, audit, risk_rules, usage

_RULES_AT_ONCE = 500  # ids of one query; SQLite takes so many parameters in any build
_FIRST_HASH = bytes(32)

S = TypeVar("S", bound=msgspec.Struct)


class AuditCheck(msgspec.Struct):
    """How many entries were looked at, and the first faults that were found."""

    entries: int = 0
    faults: list[str] = []

    def note(self, fault: str | None) -> None:
        """Count an entry, and what is wrong with it."""
        self.entries += 1
        if fault is not None and len(self.faults) < limits.AUDIT_FINDINGS:
            self.faults.append(fault)


class KeyTables:
    """The keys' part of app.db."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # --- keys --------------------------------------------------------------------------------

    def changed_since(self, version: int) -> tuple[list[ApiKey], int]:
        """Keys that were changed after a version, revoked ones too, and the newest version."""
        query = select(api_keys).where(api_keys.c.version > version)
        with self._engine.connect() as connection:
            rows = [row._asdict() for row in connection.execute(query)]
        return [_key_of(row) for row in rows], max([version, *(row["version"] for row in rows)])

    def valid(self) -> list[ApiKey]:
        """Every key that is not revoked."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(api_keys).where(api_keys.c.revoked_ms.is_(None)))
            return [_key_of(row._asdict()) for row in rows]

    def put(
        self, key: ApiKey, entry: AuditEntry | None = None, rules: RuleTexts | None = None
    ) -> None:
        """Store a key, replacing an older version and any key with the same secret.

        Its entry in the audit log and, unless None, its rules go along, all or nothing.
        """
        with writing(self._engine) as connection:
            version = _next_version(connection)  # before the newest row may go
            same = (api_keys.c.id == key.id) | (api_keys.c.digest == key.digest)
            connection.execute(api_keys.delete().where(same))
            connection.execute(insert(api_keys).values({**_row_of(key), "version": version}))
            if rules is not None:
                put_rules(connection, "key", key.id, rules)
            if entry is not None:
                _append(connection, entry)

    def revoke_named(self, name: str, now_ms: int) -> list[str]:
        """Revoke all keys of a name; their ids."""
        with writing(self._engine) as connection:
            live = (api_keys.c.name == name) & api_keys.c.revoked_ms.is_(None)
            ids = list(connection.execute(select(api_keys.c.id).where(live)).scalars())
            gone = {"revoked_ms": now_ms, "version": _next_version(connection)}
            connection.execute(update(api_keys).where(live).values(gone))
            return ids

    def rules_of(self, key_ids: list[str]) -> dict[str, RuleTexts]:
        """The rules of some keys; those without are left out."""
        found: dict[str, RuleTexts] = {}
        with self._engine.connect() as connection:
            for at in range(0, len(key_ids), _RULES_AT_ONCE):
                its = risk_rules.c.subject_id.in_(key_ids[at : at + _RULES_AT_ONCE])
                query = select(risk_rules.c.subject_id, risk_rules.c.body)
                for subject, body in connection.execute(
                    query.where(its, risk_rules.c.kind == "key")
                ):
                    found[subject] = msgspec.json.decode(body, type=RuleTexts)
        return found

    # --- use ---------------------------------------------------------------------------------

    def write_down(self, used_ms: Mapping[str, int], usage_rows: list[UsageRow]) -> None:
        """Note when keys were last used, and add to what they did."""
        with writing(self._engine) as connection:
            for key_id, moment in used_ms.items():
                its = api_keys.c.id == key_id
                connection.execute(update(api_keys).where(its).values(last_used_ms=moment))
            for row in usage_rows:
                _add_usage(connection, row)

    def usage(self, query: UsageQuery) -> list[UsageRow]:
        """What keys did by day."""
        columns = usage.c
        wanted = [
            columns.user_id == query.user_id,
            columns.day.between(query.from_day, query.to_day),
            tuple_(columns.day, columns.key_id) > query.after,
        ]
        if query.key_id is not None:
            wanted.append(columns.key_id == query.key_id)
        ordered = select(usage).where(and_(*wanted)).order_by(columns.day, columns.key_id)
        with self._engine.connect() as connection:
            rows = connection.execute(ordered.limit(query.limit))
            return [UsageRow(**row._asdict()) for row in rows]

    # --- audit -------------------------------------------------------------------------------

    def append(self, entry: AuditEntry) -> None:
        """Add to the audit log."""
        with writing(self._engine) as connection:
            _append(connection, entry)

    def audit(self, query: AuditQuery) -> list[AuditEntry]:
        """Entries of the audit log, newest first."""
        columns = audit.c
        wanted = [
            columns.user_id == query.user_id,
            columns.time_ms >= query.from_ms,
            columns.time_ms < query.to_ms,
            columns.seq < query.before_seq,
        ]
        if query.account_ids is not None:
            own = columns.key_id == query.key_id
            wanted.append(or_(columns.account_id.in_(query.account_ids), own))
        ordered = select(audit).where(and_(*wanted)).order_by(columns.seq.desc())
        with self._engine.connect() as connection:
            rows = connection.execute(ordered.limit(query.limit))
            return [_entry_of(row._asdict()) for row in rows]

    def check_audit(self) -> AuditCheck:
        """Where the chain of an audit log breaks: a row was changed, lost or moved."""
        check = AuditCheck()
        last: dict[str, tuple[int, bytes]] = {}
        ordered = select(audit).order_by(audit.c.user_id, audit.c.seq)
        with self._engine.connect() as connection:
            for row in connection.execute(ordered):
                entry, found = _entry_of(row._asdict()), row.hash
                check.note(_fault(entry, found, *last.get(entry.user_id, (0, _FIRST_HASH))))
                last[entry.user_id] = (entry.seq, found)
        return check


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that holds the write lock from its start: what it reads stays true."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


def put_rules(connection: Connection, kind: str, subject_id: str, texts: RuleTexts) -> None:
    """Replace the rules of an account or key; none at all removes the row."""
    its = (risk_rules.c.kind == kind) & (risk_rules.c.subject_id == subject_id)
    connection.execute(risk_rules.delete().where(its))
    if texts:
        body = msgspec.json.encode(texts).decode()
        row = {"kind": kind, "subject_id": subject_id, "body": body}
        connection.execute(insert(risk_rules).values(row))


def _next_version(connection: Connection) -> int:
    newest = select(func.coalesce(func.max(api_keys.c.version), 0))
    return int(connection.execute(newest).scalar_one()) + 1


def _row_of(key: ApiKey) -> dict[str, object]:
    row = {**msgspec.structs.asdict(key), "scope": int(key.scope)}
    row["ip_rules"] = msgspec.json.encode(key.ip_rules).decode()
    if key.account_ids is not None:
        row["account_ids"] = msgspec.json.encode(key.account_ids).decode()
    return row


def _key_of(row: dict[str, object]) -> ApiKey:
    for name in ("account_ids", "ip_rules"):
        text = row[name]
        if isinstance(text, str):
            row[name] = msgspec.json.decode(text, type=tuple[str, ...])
    row["scope"] = Scope(int(str(row["scope"])))
    return _into(ApiKey, row)


def _into(kind: type[S], row: dict[str, object]) -> S:
    # SQLAlchemy's names are a kind of str of their own.
    return msgspec.convert({str(name): value for name, value in row.items()}, kind)


def _add_usage(connection: Connection, row: UsageRow) -> None:
    its = and_(usage.c.key_id == row.key_id, usage.c.day == row.day)
    more = {
        "requests": usage.c.requests + row.requests,
        "orders": usage.c.orders + row.orders,
    }
    if not connection.execute(update(usage).where(its).values(more)).rowcount:
        connection.execute(insert(usage).values(msgspec.structs.asdict(row)))


def _append(connection: Connection, entry: AuditEntry) -> None:
    its = audit.c.user_id == entry.user_id
    newest = select(audit.c.seq, audit.c.hash).where(its).order_by(audit.c.seq.desc()).limit(1)
    last = connection.execute(newest).first()
    seq, before = (0, _FIRST_HASH) if last is None else (last.seq, last.hash)
    entry = msgspec.structs.replace(entry, seq=seq + 1)
    row = {**msgspec.structs.asdict(entry), "hash": _hash(before, entry)}
    row["details"] = msgspec.json.encode(entry.details).decode()
    connection.execute(insert(audit).values(row))


def _entry_of(row: dict[str, object]) -> AuditEntry:
    details = msgspec.json.decode(str(row.pop("details")), type=dict[str, object])
    row.pop("hash")
    return _into(AuditEntry, {**row, "details": details})


def _fault(entry: AuditEntry, found: bytes, seq: int, before: bytes) -> str | None:
    """What is wrong with an entry after the one with this number and hash."""
    if entry.seq != seq + 1:
        return f"{entry.user_id}: {entry.seq} follows {seq}"
    if found != _hash(before, entry):
        return f"{entry.user_id}: entry {entry.seq} is not what was written"
    return None


def _hash(before: bytes, entry: AuditEntry) -> bytes:
    return hashlib.sha256(before + msgspec.json.encode(entry, order="sorted")).digest()
