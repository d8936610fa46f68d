"""What users do with their accounts while the server runs: make, change, disconnect, remove."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, Protocol

from msgspec import Struct, UnsetType
from msgspec.structs import replace

from fxsocket_server.core.errors import Problem
from fxsocket_server.core.secret import Secret
from fxsocket_server.gateway.accounts.registry import AccountRegistry
from fxsocket_server.gateway.accounts.requests import (
    AccountPatch,
    AccountRequest,
    check_name,
    check_password,
    digest_of,
)
from fxsocket_server.gateway.directory import LinkedAccount
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.gateway.requests import check_key
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountKind, OrderStatus
from fxsocket_server.security.principal import Principal
from fxsocket_server.security.vault import VaultError

P = ParamSpec("P")

DISCONNECTED, REMOVED = "disconnected by its user", "removed"
_OUTCOME_OPEN = (OrderStatus.PENDING, OrderStatus.UNKNOWN)


class AccountRunner(Protocol):
    """Brings accounts up and takes them down."""

    async def open(self, account: Account) -> LinkedAccount:
        """Run a stored account from now on."""
        ...

    async def connect(self, linked: LinkedAccount) -> None:
        """Let the feed of a disconnected account run again, or its terminal in."""
        ...

    async def disconnect(self, linked: LinkedAccount, why: str) -> None:
        """Stop the feed of an account, or send its terminal away; what it holds stays readable."""
        ...

    async def close(self, linked: LinkedAccount) -> None:
        """Run an account no more; the gateway does not know it any longer."""
        ...


class Made(Struct, frozen=True):
    """A new account, and the connector token that is shown this once."""

    linked: LinkedAccount
    token: str | None
    replayed: bool = False

    def __repr__(self) -> str:
        return f"Made({self.linked.account.id!r}, ***)"


class AccountManager:
    """Changes of accounts, one at a time: each is stored before it is in force."""

    def __init__(self, gateway: Gateway, registry: AccountRegistry, runner: AccountRunner) -> None:
        self._gateway = gateway
        self._registry = registry
        self._runner = runner
        self._turn = asyncio.Lock()

    async def create(
        self, principal: Principal, request: AccountRequest, key: str | None = None
    ) -> Made:
        """Make an account and run it; sent again with the same key it is the one that was made.

        Raises `account_exists`, `account_limit`, `forbidden`, `idempotency_key_reused`,
        `validation_error`, `unavailable`.
        """
        if principal.account_ids is not None:
            raise Problem(
                "forbidden",
                "this key is for chosen accounts; make accounts with a key for all of them",
            )
        check_key(key)
        async with self._turn:
            if (made := self._made_before(principal, request, key)) is not None:
                return made
            existing = [linked.account for linked in self._gateway.accounts.values()]
            new = self._registry.design(principal.user_id, request, existing, key)
            await _stored(self._registry.add, new)
            try:
                return Made(await self._runner.open(new.account), new.token)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(self._registry.remove, new.account))
                raise

    def _made_before(
        self, principal: Principal, request: AccountRequest, key: str | None
    ) -> Made | None:
        for linked in self._gateway.visible(principal) if key is not None else ():
            if linked.account.made_with_key == key:
                if linked.account.made_as != digest_of(request):
                    raise Problem(
                        "idempotency_key_reused",
                        f"key {key!r} made account {linked.account.id} from another request; send "
                        "the same body again, or a new key",
                    )
                return Made(linked, self._registry.token_of(linked.account), replayed=True)
        return None

    async def update(
        self, principal: Principal, account_id: str, patch: AccountPatch
    ) -> LinkedAccount:
        """Rename an account, make it the default one, change the password that is kept of it."""
        check_name(patch.name)
        check_password(patch.password)
        async with self._turn:
            linked = self._gateway.choose(principal, account_id)
            if not isinstance(patch.password, UnsetType):
                await self._change_password(linked.account, patch.password)
            if isinstance(patch.name, str):
                self._change(linked, name=patch.name)
            if not isinstance(patch.is_default, UnsetType):
                await self._choose_default(principal, linked.account, patch.is_default)
            return linked

    async def _change_password(self, account: Account, password: Secret | None) -> None:
        if account.kind is not AccountKind.TERMINAL:
            raise Problem(
                "validation_error",
                "password belongs to accounts of kind TERMINAL; leave it out",
                pointer="/password",
            )
        secret_id = self._registry.secret_id()
        await _stored(self._registry.passwords.change, account, password, secret_id)

    async def _choose_default(
        self, principal: Principal, account: Account, is_default: bool
    ) -> None:
        own = principal.default_account_id
        if own is not None and is_default != (own == account.id):
            raise Problem(
                "validation_error",
                f"this key has a default account of its own, {own}; change it with a key that has "
                "none",
                pointer="/is_default",
            )
        defaults, user_id = self._gateway.default_accounts, principal.user_id
        if is_default:
            await _stored(self._registry.store.put_default_account, user_id, account.id)
            defaults[user_id] = account.id
        elif defaults.get(user_id) == account.id:
            await _stored(self._registry.store.put_default_account, user_id, None)
            del defaults[user_id]

    async def connect(self, principal: Principal, account_id: str) -> LinkedAccount:
        """Connect an account again; one that is not disconnected stays as it is."""
        async with self._turn:
            linked = self._gateway.choose(principal, account_id)
            if linked.account.is_disconnected:
                self._change(linked, is_disconnected=False)
                await self._runner.connect(linked)
            return linked

    async def disconnect(self, principal: Principal, account_id: str) -> LinkedAccount:
        """Disconnect an account until `connect`, over restarts too; its history stays readable."""
        async with self._turn:
            linked = self._gateway.choose(principal, account_id)
            if not linked.account.is_disconnected:
                self._change(linked, is_disconnected=True)
                await self._runner.disconnect(linked, DISCONNECTED)
            return linked

    async def remove(self, principal: Principal, account_id: str) -> LinkedAccount:
        """Remove an account: its token and password are forgotten, its id is not known any more.

        Raises `account_busy` while an order has no outcome.
        """
        async with self._turn:
            linked = self._gateway.choose(principal, account_id)
            _refuse_busy(linked)
            await _stored(self._registry.remove, linked.account)
            await self._runner.close(linked)
            if self._gateway.default_accounts.get(principal.user_id) == account_id:
                del self._gateway.default_accounts[principal.user_id]
            return linked

    def _change(self, linked: LinkedAccount, **parts: object) -> None:
        """Store a newer version of an account, then let it be in force.

        In one step: its terminal may tell at any moment what else is new of it.
        """
        account = replace(linked.account, **parts)
        self._registry.store.update_account(account)
        linked.account = account
        if linked.lane is not None:
            linked.lane.account = account


def _refuse_busy(linked: LinkedAccount) -> None:
    lane = linked.lane
    if lane is None:
        return
    waiting = [o.id for o in lane.book.orders.values() if o.status in _OUTCOME_OPEN]
    if waiting:
        raise Problem(
            "account_busy",
            f"order {waiting[0]} has no outcome yet; wait for it, or settle it with "
            "POST /v1/orders/{id}/resolve, then remove the account",
            retry_after_s=1,
        )


async def _stored(store: Callable[P, None], *parts: P.args, **named: P.kwargs) -> None:
    """Let a blocking call do its work beside the event loop."""
    try:
        await asyncio.to_thread(store, *parts, **named)
    except VaultError as error:
        raise Problem(
            "unavailable", f"the password could not be sealed: {error}", retry_after_s=5
        ) from None
