"""Who is asking: the user, key, scope and accounts behind a request."""

from enum import IntEnum

from msgspec import Struct

from fxsocket_server.core.errors import Problem


class Scope(IntEnum):
    """What a key may do; each scope holds the ones below it."""

    READ = 1
    TRADE = 2
    FULL = 3


class Principal(Struct, frozen=True, kw_only=True):
    """An authenticated key; `account_ids` None means every account of the user."""

    user_id: str
    key_id: str
    scope: Scope
    account_ids: tuple[str, ...] | None
    default_account_id: str | None

    def require(self, scope: Scope) -> None:
        """Raise `forbidden` unless the key's scope holds `scope`."""
        if self.scope < scope:
            raise Problem(
                "forbidden",
                f"this needs a key with scope {scope.name.lower()}; "
                f"yours has {self.scope.name.lower()}",
            )

    def may_see(self, account_id: str) -> bool:
        """Whether the key covers an account of its user."""
        return self.account_ids is None or account_id in self.account_ids
