"""Keys, audit entries and usage as the API shows them."""

from msgspec import Struct
from msgspec.structs import asdict

from fxsocket_server.gateway.keys.ports import AuditEntry, RuleTexts, UsageRow
from fxsocket_server.gateway.keys.rules import KeyLimits, limits_of
from fxsocket_server.gateway.views import time_text
from fxsocket_server.security.keys import ApiKey


class KeyView(Struct, frozen=True, kw_only=True):
    """A key; `accounts` null means all, `old_secret_until` ends a rotation's overlap."""

    id: str
    name: str
    kind: str
    scope: str
    accounts: tuple[str, ...] | None
    default_account_id: str | None
    ip_rules: tuple[str, ...]
    limits: KeyLimits
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None
    old_secret_until: str | None


class NewKeyView(KeyView, frozen=True, kw_only=True):
    """A key with its secret, which is shown this once."""

    secret: str


class KeyPage(Struct, frozen=True):
    """Keys, oldest first."""

    data: list[KeyView]
    next_cursor: str | None


def key_view(key: ApiKey, texts: RuleTexts) -> KeyView:
    """A key as the API shows it."""
    return KeyView(
        id=key.id,
        name=key.name,
        kind="live" if key.is_live else "test",
        scope=key.scope.name.lower(),
        accounts=key.account_ids,
        default_account_id=key.default_account_id,
        ip_rules=key.ip_rules,
        limits=limits_of(texts),
        created_at=time_text(key.created_ms),
        expires_at=_time(key.expires_ms),
        last_used_at=_time(key.last_used_ms),
        revoked_at=_time(key.revoked_ms),
        old_secret_until=_time(key.old_until_ms),
    )


def new_key_view(key: ApiKey, texts: RuleTexts, secret: str) -> NewKeyView:
    """The same with the secret."""
    return NewKeyView(**asdict(key_view(key, texts)), secret=secret)


def _time(ms: int | None) -> str | None:
    return None if ms is None else time_text(ms)


class AuditView(Struct, frozen=True, kw_only=True):
    """An entry of the audit log; `key_id` null is the command line."""

    seq: int
    time: str
    action: str
    target: str
    account_id: str | None
    key_id: str | None
    address: str | None
    request_id: str | None
    details: dict[str, object]


class AuditPage(Struct, frozen=True):
    """Entries, newest first."""

    data: list[AuditView]
    next_cursor: str | None


def audit_page(entries: list[AuditEntry], limit: int) -> AuditPage:
    """Entries as a page; a full one may have more behind it."""
    rows = [
        AuditView(
            seq=entry.seq,
            time=time_text(entry.time_ms),
            action=entry.action,
            target=entry.target,
            account_id=entry.account_id,
            key_id=entry.key_id,
            address=entry.address,
            request_id=entry.request_id,
            details=entry.details,
        )
        for entry in entries
    ]
    return AuditPage(rows, str(rows[-1].seq) if len(rows) == limit else None)


class UsageView(Struct, frozen=True):
    """What a key did in one UTC day."""

    key_id: str
    date: str
    requests: int
    orders: int


class UsagePage(Struct, frozen=True):
    """Days, oldest first."""

    data: list[UsageView]
    next_cursor: str | None


def usage_page(rows: list[UsageRow], limit: int) -> UsagePage:
    """Rows as a page; a full one may have more behind it."""
    shown = [UsageView(row.key_id, row.day, row.requests, row.orders) for row in rows]
    last = f"{rows[-1].day}.{rows[-1].key_id}" if len(rows) == limit else None
    return UsagePage(shown, last)
