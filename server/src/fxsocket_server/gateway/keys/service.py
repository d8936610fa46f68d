"""Makes, lists, changes, rotates and revokes keys for whoever may."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from msgspec import UNSET, Struct, to_builtins
from msgspec.structs import replace

from fxsocket_server.core import limits
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.gateway.keys.ports import AuditEntry, KeyStore, RuleTexts
from fxsocket_server.gateway.keys.reach import OWNER, Reach, beyond, reach_of, require_within
from fxsocket_server.gateway.keys.requests import (
    Accounts,
    KeyChange,
    KeyRequest,
    RotateRequest,
    changed_key,
    overlap_ms,
)
from fxsocket_server.gateway.keys.rules import texts_of
from fxsocket_server.gateway.keys.views import (
    KeyPage,
    KeyView,
    NewKeyView,
    key_view,
    new_key_view,
)
from fxsocket_server.gateway.messages import KeyMessage
from fxsocket_server.gateway.ports import Bus
from fxsocket_server.model.enums import AccountKind
from fxsocket_server.security.key_format import digest_of, mint_secret
from fxsocket_server.security.keys import ApiKey, Keyring
from fxsocket_server.security.principal import Scope

_UNSAID = ("last_used_at",)  # what a change of a key does not change


class Actor(Struct, frozen=True, kw_only=True):
    """Who asks, and by which request; without a key it is the owner at the command line."""

    user_id: str
    key_id: str | None = None
    address: str | None = None
    request_id: str | None = None


class Stored(NamedTuple):
    """A key and the texts of its rules."""

    key: ApiKey
    texts: RuleTexts


class Minting(Struct, frozen=True):
    """What new secrets are made of."""

    pepper: bytes
    random_bytes: Callable[[int], bytes]


class Keys:
    """Keys of all users. One change at a time: what it was judged by stays true."""

    def __init__(
        self,
        store: KeyStore,
        keyring: Keyring,
        bus: Bus,
        clock: Clock,
        ids: IdFactory,
        minting: Minting,
        accounts: Callable[[str], Accounts],
        reload_rules: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._bus = bus
        self._clock = clock
        self._ids = ids
        self._minting = minting
        self._accounts = accounts
        self._reload_rules = reload_rules
        self._changing = asyncio.Lock()

    # --- reading -----------------------------------------------------------------------------

    async def page(self, actor: Actor, after: str | None, limit: int) -> KeyPage:
        """The keys that the actor could have made, oldest first."""
        own = (await self._own(actor))[1]
        keys = self._keyring.keys_of(actor.user_id)
        if after is not None:
            keys = [key for key in keys if key.id > after]
        rules = await asyncio.to_thread(self._store.rules_of, [key.id for key in keys])
        seen = [
            Stored(key, rules.get(key.id, {}))
            for key in keys
            if beyond(reach_of(key, rules.get(key.id, {})), own) is None
        ]
        shown = [self._view(*stored) for stored in seen[:limit]]
        return KeyPage(shown, shown[-1].id if len(seen) > limit else None)

    async def _own(self, actor: Actor) -> tuple[Stored | None, Reach]:
        """The actor's own key, and how far it reaches."""
        if actor.key_id is None:
            return None, OWNER
        stored = await self._stored(actor.user_id, actor.key_id)
        return stored, reach_of(*stored)

    async def _stored(self, user_id: str, key_id: str) -> Stored:
        key = self._keyring.key(key_id)
        if key is None or key.user_id != user_id:
            raise _unknown(key_id)
        rules = await asyncio.to_thread(self._store.rules_of, [key_id])
        return Stored(key, rules.get(key_id, {}))

    async def _within_reach(self, actor: Actor, key_id: str) -> tuple[Stored, Reach]:
        """A key that the actor may touch; raises `not_found` for one that reaches further."""
        own = (await self._own(actor))[1]
        stored = await self._stored(actor.user_id, key_id)
        if beyond(reach_of(*stored), own) is not None:
            raise _unknown(key_id)
        return stored, own

    # --- changing ----------------------------------------------------------------------------

    async def create(self, actor: Actor, asked: KeyRequest) -> NewKeyView:
        """Make a key; raises `forbidden` for one that is more than the actor's own."""
        async with self._changing:
            own, reach = await self._own(actor)
            self._require_room(actor.user_id)
            now_ms = self._clock.wall_ms()
            draft = self._draft(actor, own, asked)
            texts = texts_of(asked.limits)
            if texts is None:
                texts = {} if own is None else own.texts
            accounts = self._accounts(actor.user_id)
            key = changed_key(draft, asked, accounts, now_ms)
            require_within(reach_of(key, texts), reach)
            key = replace(key, is_live=_may_be_live(key, accounts))
            secret, key = self._with_secret(key)
            entry = self._entry(actor, "key.created", key, _told(key, texts))
            await self._save(key, entry, texts)
            return new_key_view(key, texts, secret)

    async def change(self, actor: Actor, key_id: str, asked: KeyChange) -> KeyView:
        """Change a key; raises `not_found`, or `forbidden` as `create` does."""
        async with self._changing:
            stored, reach = await self._within_reach(actor, key_id)
            accounts = self._accounts(actor.user_id)
            key = changed_key(stored.key, asked, accounts, self._clock.wall_ms())
            texts = texts_of(asked.limits)
            require_within(reach_of(key, stored.texts if texts is None else texts), reach)
            if asked.accounts is not UNSET and not key.is_live and _may_be_live(key, accounts):
                raise Problem(
                    "validation_error",
                    "accounts: a fxs_test_ key covers named accounts that are simulated; make a "
                    "new key",
                    pointer="/accounts",
                )
            after = stored.texts if texts is None else texts
            change = _difference(_told(*stored), _told(key, after))
            if change:
                entry = self._entry(actor, "key.changed", key, change)
                await self._save(key, entry, texts)
            return self._view(key, after)

    async def rotate(self, actor: Actor, key_id: str, asked: RotateRequest) -> NewKeyView:
        """Give a key a new secret; the one of now works until the overlap ends."""
        async with self._changing:
            (key, texts), _ = await self._within_reach(actor, key_id)
            overlap = overlap_ms(asked)
            old_digest, until = None, None
            if overlap:
                old_digest, until = key.digest, self._clock.wall_ms() + overlap
            secret, key = self._with_secret(key)
            key = replace(
                key, old_digest=old_digest, old_until_ms=until, generation=key.generation + 1
            )
            details: dict[str, object] = {"overlap_s": asked.overlap_s}
            await self._save(key, self._entry(actor, "key.rotated", key, details))
            return new_key_view(self._used(key), texts, secret)

    async def revoke(self, actor: Actor, key_id: str) -> KeyView:
        """End a key, here and on every open socket; raises `not_found`."""
        async with self._changing:
            (key, texts), _ = await self._within_reach(actor, key_id)
            key = replace(key, revoked_ms=self._clock.wall_ms())
            await self._save(key, self._entry(actor, "key.revoked", key, {"name": key.name}))
            return self._view(key, texts)

    def _require_room(self, user_id: str) -> None:
        if len(self._keyring.keys_of(user_id)) >= limits.KEYS_OF_USER:
            raise Problem(
                "forbidden", f"there are {limits.KEYS_OF_USER} keys already; revoke some first"
            )

    def _draft(self, actor: Actor, own: Stored | None, asked: KeyRequest) -> ApiKey:
        """A key as the actor's own is, before anything was asked for."""
        return ApiKey(
            id=self._ids.make("key_"),
            user_id=actor.user_id,
            name=asked.name,
            digest=b"",
            scope=Scope[asked.scope.upper()],
            account_ids=own.key.account_ids if own else None,
            default_account_id=own.key.default_account_id if own else None,
            ip_rules=own.key.ip_rules if own else (),
            expires_ms=own.key.expires_ms if own else None,
            created_ms=self._clock.wall_ms(),
        )

    def _with_secret(self, key: ApiKey) -> tuple[str, ApiKey]:
        kind = "live" if key.is_live else "test"
        secret = mint_secret(self._minting.random_bytes, kind)
        return secret, replace(key, digest=digest_of(self._minting.pepper, secret))

    def _entry(
        self, actor: Actor, action: str, key: ApiKey, details: dict[str, object]
    ) -> AuditEntry:
        return entry_of(actor, self._clock.wall_ms(), action, key.id, None, details)

    async def _save(self, key: ApiKey, entry: AuditEntry, texts: RuleTexts | None = None) -> None:
        """Store first, then let everybody hear of it."""
        await asyncio.to_thread(self._store.put, self._used(key), entry, texts)
        admit(self._keyring, self._bus, key)
        if texts is not None:
            await self._reload_rules()

    def _used(self, key: ApiKey) -> ApiKey:
        return replace(key, last_used_ms=self._keyring.used_ms.get(key.id, key.last_used_ms))

    def _view(self, key: ApiKey, texts: RuleTexts) -> KeyView:
        return key_view(self._used(key), texts)


def admit(keyring: Keyring, bus: Bus, key: ApiKey) -> None:
    """Put a stored key in force, everywhere."""
    keyring.put(key)
    bus.publish("keys." + key.id, KeyMessage(key))


def entry_of(
    actor: Actor,
    time_ms: int,
    action: str,
    target: str,
    account_id: str | None = None,
    details: dict[str, object] | None = None,
) -> AuditEntry:
    """An entry of the audit log about something that an actor did."""
    return AuditEntry(
        user_id=actor.user_id,
        time_ms=time_ms,
        action=action,
        target=target,
        account_id=account_id,
        key_id=actor.key_id,
        address=actor.address,
        request_id=actor.request_id,
        details=details or {},
    )


def _unknown(key_id: str) -> Problem:
    return Problem("not_found", f"no key {key_id[:64]!r} that yours may manage")


def _may_be_live(key: ApiKey, accounts: Accounts) -> bool:
    """Whether a key covers, or will once cover, an account at a terminal."""
    if key.account_ids is None:
        return True
    return any(accounts.get(name) is AccountKind.TERMINAL for name in key.account_ids)


def _told(key: ApiKey, texts: RuleTexts) -> dict[str, object]:
    view: dict[str, object] = to_builtins(key_view(key, texts))
    return {name: value for name, value in view.items() if name not in _UNSAID}


def _difference(before: dict[str, object], after: dict[str, object]) -> dict[str, object]:
    names = [name for name in after if before[name] != after[name]]
    if not names:
        return {}
    return {
        "before": {name: before[name] for name in names},
        "after": {name: after[name] for name in names},
    }
