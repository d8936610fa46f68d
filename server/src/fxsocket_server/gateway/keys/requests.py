"""The bodies that make and change keys, and what a key becomes by them."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from fxsocket_server.core import limits as bounds
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.keys.rules import KeyLimits
from fxsocket_server.gateway.requests import check_time
from fxsocket_server.model.enums import AccountKind
from fxsocket_server.security.ip_rules import IpRuleError, ip_rule
from fxsocket_server.security.keys import ApiKey
from fxsocket_server.security.principal import Scope

Accounts = Mapping[str, AccountKind]  # those that whoever asks may give away, by id


class ScopeName(StrEnum):
    """A scope as the API writes it."""

    read = "read"
    trade = "trade"
    full = "full"


class KeyChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of PATCH /keys/{id}: what is left out stays, null takes a bound away."""

    name: str | UnsetType = UNSET
    scope: ScopeName | UnsetType = UNSET
    accounts: tuple[str, ...] | None | UnsetType = UNSET
    default_account_id: str | None | UnsetType = UNSET
    ip_rules: tuple[str, ...] | None | UnsetType = UNSET
    limits: KeyLimits | None | UnsetType = UNSET
    expires_at: str | None | UnsetType = UNSET


class KeyRequest(KeyChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /keys: what is left out is as with the key that asks."""

    name: str
    scope: ScopeName


class RotateRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /keys/{id}/rotate; for `overlap_s` the secret of now goes on working."""

    overlap_s: int = bounds.KEY_OVERLAP_S


def changed_key(key: ApiKey, asked: KeyChange, accounts: Accounts, now_ms: int) -> ApiKey:
    """A key with what was asked for; raises `validation_error` or `not_found`."""
    if asked.name is not UNSET:
        key = replace(key, name=_name(asked.name))
    if asked.scope is not UNSET:
        key = replace(key, scope=Scope[asked.scope.upper()])
    if asked.accounts is not UNSET:
        key = replace(key, account_ids=_accounts(asked.accounts, accounts))
    if asked.ip_rules is not UNSET:
        key = replace(key, ip_rules=_ip_rules(asked.ip_rules))
    if asked.expires_at is not UNSET:
        key = replace(key, expires_ms=_expiry(asked.expires_at, now_ms))
    return replace(key, default_account_id=_default(key, asked, accounts))


def overlap_ms(request: RotateRequest) -> int:
    """How long the secret of now goes on working; raises `validation_error`."""
    if not 0 <= request.overlap_s <= bounds.KEY_OVERLAP_S_MAX:
        raise _misfit("overlap_s", f"must be 0 to {bounds.KEY_OVERLAP_S_MAX} seconds")
    return request.overlap_s * 1000


def _misfit(field: str, fix: str) -> Problem:
    return Problem("validation_error", f"{field} {fix}", pointer="/" + field)


def _name(text: str) -> str:
    name = text.strip()
    if not (0 < len(name) <= bounds.KEY_NAME_CHARS and name.isprintable()):
        raise _misfit("name", f"must be 1 to {bounds.KEY_NAME_CHARS} printable characters")
    return name


def _accounts(ids: tuple[str, ...] | None, known: Accounts) -> tuple[str, ...] | None:
    if ids is None:
        return None
    if not 0 < len(ids) <= bounds.KEY_ACCOUNTS:
        raise _misfit("accounts", f"must be 1 to {bounds.KEY_ACCOUNTS} ids, or null for all")
    for account_id in ids:
        _require_known(account_id, known)
    return tuple(dict.fromkeys(ids))


def _require_known(account_id: str, known: Accounts) -> None:
    if account_id not in known:
        raise Problem("not_found", f"no account {account_id[:64]!r} for this key")


def _ip_rules(texts: tuple[str, ...] | None) -> tuple[str, ...]:
    if texts is not None and len(texts) > bounds.KEY_IP_RULES:
        raise _misfit("ip_rules", f"may be {bounds.KEY_IP_RULES} networks")
    found: dict[str, None] = {}
    for index, text in enumerate(texts or ()):
        try:
            found[ip_rule(text).text] = None
        except IpRuleError as error:
            pointer = f"/ip_rules/{index}"
            raise Problem("validation_error", f"ip_rules: {error}", pointer=pointer) from None
    return tuple(found)


def _expiry(text: str | None, now_ms: int) -> int | None:
    if text is None:
        return None
    expires_ms = check_time("expires_at", text)
    if expires_ms <= now_ms:
        raise _misfit("expires_at", "lies in the past; DELETE ends a key now")
    return expires_ms


def _default(key: ApiKey, asked: KeyChange, known: Accounts) -> str | None:
    """The default account that is left: one that the key does not cover is none."""
    wanted = asked.default_account_id
    if wanted is UNSET:
        kept = key.default_account_id
        return kept if key.account_ids is None or kept in key.account_ids else None
    if wanted is not None:
        _require_known(wanted, known)
        if key.account_ids is not None and wanted not in key.account_ids:
            raise _misfit("default_account_id", "must be one of the key's accounts")
    return wanted
