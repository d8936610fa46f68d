# Made from _async/keys.py by tools/make_sync.py; edit that file instead.
"""API keys, and what was done with them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from fxsocket._call import KEEP, Call, Kept, changed, given, path, reader
from fxsocket._sync.paging import each
from fxsocket._sync.requester import Requester
from fxsocket.models import AuditEntry, Key, NewKey, Usage
from fxsocket.pages import Page

_read_key = reader(Key)
_read_new = reader(NewKey)
_read_keys = reader(Page[Key])
_read_audit = reader(Page[AuditEntry])
_read_usage = reader(Page[Usage])


class KeysResource:
    """`client.keys`; needs a key with scope full, and reaches no further than that key does."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Key]:
        """One page of the keys that are not revoked; its `next_cursor` reads on."""
        params = given({"limit": limit, "cursor": cursor})
        return self._requester.send(Call("GET", "/keys", _read_keys, params))

    def iter(self, *, limit: int | None = None) -> Iterator[Key]:
        """Every key, page after page; `limit` is the size of a page."""
        return each(self._requester, "/keys", _read_keys, given({"limit": limit}))

    def create(
        self,
        name: str,
        scope: str,
        *,
        accounts: Sequence[str] | Kept | None = KEEP,
        default_account_id: str | Kept | None = KEEP,
        ip_rules: Sequence[str] | Kept = KEEP,
        limits: Mapping[str, Any] | Kept | None = KEEP,
        expires_at: datetime | str | Kept | None = KEEP,
    ) -> NewKey:
        """Make a key of scope read, trade or full; its `secret` is shown this once.

        What is left out is as with your own key. It is not retried: a lost answer may leave a key
        behind that `list` shows. Raises ForbiddenError for more than your own key has.
        """
        fields = changed(
            {"name": name, "scope": scope, "accounts": accounts, "ip_rules": ip_rules,
             "default_account_id": default_account_id, "limits": limits,
             "expires_at": expires_at}
        )  # fmt: skip
        return self._requester.send(Call("POST", "/keys", _read_new, None, fields, once=True))

    def update(
        self,
        key_id: str,
        *,
        name: str | Kept = KEEP,
        scope: str | Kept = KEEP,
        accounts: Sequence[str] | Kept | None = KEEP,
        default_account_id: str | Kept | None = KEEP,
        ip_rules: Sequence[str] | Kept = KEEP,
        limits: Mapping[str, Any] | Kept | None = KEEP,
        expires_at: datetime | str | Kept | None = KEEP,
    ) -> Key:
        """Change a key; whatever is left out stays, None takes a bound away."""
        fields = changed(
            {"name": name, "scope": scope, "accounts": accounts, "ip_rules": ip_rules,
             "default_account_id": default_account_id, "limits": limits,
             "expires_at": expires_at}
        )  # fmt: skip
        where = path("keys", key_id)
        return self._requester.send(Call("PATCH", where, _read_key, None, fields))

    def rotate(self, key_id: str, overlap_s: int | None = None) -> NewKey:
        """Give a key a new secret; the one of now works for `overlap_s` more, a day by default.

        It is not retried: a second rotation would end the overlap of the first.
        """
        where, body = path("keys", key_id, "rotate"), given({"overlap_s": overlap_s})
        return self._requester.send(Call("POST", where, _read_new, None, body, once=True))

    def revoke(self, key_id: str) -> Key:
        """End a key for good, everywhere within a second."""
        return self._requester.send(Call("DELETE", path("keys", key_id), _read_key))


class AuditResource:
    """`client.audit`: who did what."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    def list(
        self,
        *,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[AuditEntry]:
        """One page of entries, newest first; its `next_cursor` reads on."""
        params = given({"from": from_, "to": to, "limit": limit, "cursor": cursor})
        return self._requester.send(Call("GET", "/audit", _read_audit, params))

    def iter(
        self,
        *,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        limit: int | None = None,
    ) -> Iterator[AuditEntry]:
        """Every entry, page after page; `limit` is the size of a page."""
        params = given({"from": from_, "to": to, "limit": limit})
        return each(self._requester, "/audit", _read_audit, params)


class UsageResource:
    """`client.usage`: how much each key did."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    def list(
        self,
        *,
        from_: date | str | None = None,
        to: date | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[Usage]:
        """One page of days, oldest first; `from_` and `to` are days, both included."""
        days = {name: str(day) for name, day in (("from", from_), ("to", to)) if day is not None}
        params = {**days, **given({"limit": limit, "cursor": cursor})}
        return self._requester.send(Call("GET", "/usage", _read_usage, params))
