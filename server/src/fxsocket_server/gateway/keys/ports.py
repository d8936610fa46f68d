"""What managing keys needs of the outside; storage implements it."""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from fxsocket_server.security.keys import ApiKey

RuleTexts = dict[str, str]


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One thing that somebody did; `key_id` None is the command line, `target` what it was done to.

    `seq` counts the entries of a user and is given by the log.
    """

    user_id: str
    time_ms: int
    action: str
    target: str
    account_id: str | None = None
    key_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    details: dict[str, object] = {}
    seq: int = 0


class AuditQuery(Struct, frozen=True, kw_only=True):
    """Which entries: in [from_ms, to_ms), before `before_seq`; newest first.

    `account_ids` None means every account of the user; else entries on these accounts and those of
    `key_id`'s own doing.
    """

    user_id: str
    from_ms: int
    to_ms: int
    before_seq: int
    limit: int
    account_ids: tuple[str, ...] | None
    key_id: str


class UsageRow(Struct, frozen=True, kw_only=True):
    """What a key did in one UTC day (`day` such as 2026-11-30)."""

    key_id: str
    day: str
    user_id: str
    requests: int
    orders: int


class UsageQuery(Struct, frozen=True, kw_only=True):
    """Which rows: days from `from_day` to `to_day`, both whole, after (day, key); oldest first."""

    user_id: str
    from_day: str
    to_day: str
    after: tuple[str, str]
    limit: int
    key_id: str | None


class KeyStore(Protocol):
    """The durable record of keys. Its methods block; they are called from a thread."""

    def put(
        self, key: ApiKey, entry: AuditEntry | None = None, rules: RuleTexts | None = None
    ) -> None:
        """Store a key, its entry in the audit log and, unless None, its rules, all or nothing."""
        ...

    def changed_since(self, version: int) -> tuple[list[ApiKey], int]:
        """Keys that were changed after a version, revoked ones too, and the newest version."""
        ...

    def rules_of(self, key_ids: list[str]) -> dict[str, RuleTexts]:
        """The rules of some keys; those without are left out."""
        ...

    def write_down(self, used_ms: Mapping[str, int], usage: list[UsageRow]) -> None:
        """Note when keys were last used, and add to what they did."""
        ...

    def usage(self, query: UsageQuery) -> list[UsageRow]:
        """What keys did by day."""
        ...

    def append(self, entry: AuditEntry) -> None:
        """Add to the audit log."""
        ...

    def audit(self, query: AuditQuery) -> list[AuditEntry]:
        """Entries of the audit log."""
        ...


ReloadRules = Callable[[], object]
