"""Makes accounts out of requests and stores them; a server need not run for it."""

from collections.abc import Callable, Collection
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from fxsocket_server.broker.profile import Profile
from fxsocket_server.core.clock import Clock
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.ids import IdFactory
from fxsocket_server.core.secret import Secret
from fxsocket_server.gateway.accounts.make import login_of, simulated_account, terminal_account
from fxsocket_server.gateway.accounts.passwords import Passwords
from fxsocket_server.gateway.accounts.requests import AccountRequest, Driver, digest_of
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountKind, Platform
from fxsocket_server.security.connector_tokens import mint_key, token_of
from fxsocket_server.security.rotation import SealedRow

_SEED_BYTES = 6


class AccountStore(Protocol):
    """Where accounts are kept; every call is a transaction and may block."""

    def add_account(
        self, account: Account, *, connector_key: str | None, password: SealedRow | None
    ) -> None:
        """Store a new account; raises `account_exists` for a login that is linked already."""
        ...

    def connector_keys(self, account_id: str) -> list[str]:
        """The names of its tokens, oldest first."""
        ...

    def update_account(self, account: Account) -> None:
        """Store a newer version."""
        ...

    def remove_account(self, account: Account, now_ms: int) -> None:
        """Forget its link, tokens and secrets."""
        ...

    def put_default_account(self, user_id: str, account_id: str | None) -> None:
        """Choose a user's default account, or none."""
        ...


class Profiles(Protocol):
    """The broker profiles that this server offers."""

    def named(self, name: str | None, platform: Platform | None) -> tuple[str, Profile]:
        """A profile with its name; of None the one for a platform. Raises `validation_error`."""
        ...


class NewAccount(Struct, frozen=True, kw_only=True):
    """An account that is to be stored; `token` is shown once."""

    account: Account
    secret_id: str
    connector_key: str | None = None
    token: str | None = None
    password: Secret | None = None

    def __repr__(self) -> str:
        return f"NewAccount({self.account.id!r}, ***)"


class AccountRegistry:
    """Designs accounts and stores them."""

    def __init__(
        self,
        store: AccountStore,
        passwords: Passwords,
        profiles: Profiles,
        *,
        ids: IdFactory,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        pepper: bytes,
        accounts_max: int,
    ) -> None:
        self.store = store
        self.passwords = passwords
        self._profiles = profiles
        self._ids = ids
        self._clock = clock
        self._random_bytes = random_bytes
        self._pepper = pepper
        self._accounts_max = accounts_max

    def design(
        self,
        user_id: str,
        request: AccountRequest,
        existing: Collection[Account],
        key: str | None = None,
    ) -> NewAccount:
        """The account that a user asks for beside those there are; nothing is stored.

        Raises `account_limit`, `validation_error`.
        """
        new = self._designed(user_id, request, existing)
        if key is None:
            return new
        account = replace(new.account, made_with_key=key, made_as=digest_of(request))
        return replace(new, account=account)

    def _designed(
        self, user_id: str, request: AccountRequest, existing: Collection[Account]
    ) -> NewAccount:
        held = sum(account.user_id == user_id for account in existing)
        if held >= self._accounts_max:
            raise Problem(
                "account_limit",
                f"the plan holds {self._accounts_max} accounts and all are used; remove one, or "
                "have the server's --account-limit raised",
            )
        if request.kind is AccountKind.TERMINAL:
            return self._terminal(user_id, request)
        return self._simulated(user_id, request, existing)

    def _terminal(self, user_id: str, request: AccountRequest) -> NewAccount:
        assert request.server is not None
        assert request.login is not None
        account = terminal_account(
            account_id=self._ids.make("acc_"),
            user_id=user_id,
            name=request.name or f"{request.login} on {request.server}",
            server=request.server,
            login=request.login,
            platform=(request.platform or Platform.MT5).value,
            now_ms=self._clock.wall_ms(),
            driver=(request.driver or Driver.EXTERNAL).value,
        )
        key = mint_key(self._random_bytes)
        return NewAccount(
            account=account,
            secret_id=self._ids.make("sec_"),
            connector_key=key,
            token=token_of(self._pepper, key).text,
            password=request.password,
        )

    def _simulated(
        self, user_id: str, request: AccountRequest, existing: Collection[Account]
    ) -> NewAccount:
        profile_name, profile = self._profiles.named(request.profile, request.platform)
        seed = request.seed
        if seed is None:
            seed = int.from_bytes(self._random_bytes(_SEED_BYTES), "big")
        login = login_of(seed, (a.login for a in existing if a.server == profile.server))
        account = simulated_account(
            profile,
            account_id=self._ids.make("acc_"),
            user_id=user_id,
            name=request.name or f"{login} on {profile.server}",
            profile_name=profile_name,
            login=login,
            seed=seed,
            now_ms=self._clock.wall_ms(),
            currency=request.currency,
            leverage=request.leverage,
            balance=request.balance,
        )
        return NewAccount(account=account, secret_id=self._ids.make("sec_"))

    def token_of(self, account: Account) -> str | None:
        """The connector token that an account was made with; None of a simulated one."""
        keys = self.store.connector_keys(account.id)
        return token_of(self._pepper, keys[0]).text if keys else None

    def add(self, new: NewAccount) -> None:
        """Store a designed account with its token's name and its password, or nothing; blocks.

        Raises `account_exists`, VaultError.
        """

        def store(row: SealedRow | None) -> None:
            self.store.add_account(new.account, connector_key=new.connector_key, password=row)

        if new.password is None:
            store(None)
        else:
            self.passwords.store_sealed(new.account, new.password, new.secret_id, store)

    def remove(self, account: Account) -> None:
        """Forget an account's link, tokens and secrets; blocks."""
        self.store.remove_account(account, self._clock.wall_ms())

    def secret_id(self) -> str:
        """An id for the secret of an account that has none yet."""
        return self._ids.make("sec_")
