"""Who is asking: the user, key, scope and accounts behind a request."""

from enum import IntEnum

from msgspec import Struct

from fxsocket_server.core.errors import Problem
from fxsocket_server.security.ip_rules import Address, IpRule, allows


class Scope(IntEnum):
    """What a key may do; each scope holds the ones below it."""

    READ = 1
    TRADE = 2
    FULL = 3


class Principal(Struct, frozen=True, kw_only=True):
    """An authenticated key; `account_ids` None means every account of the user.

    `expires_ms` is when the secret that was shown is void: the key's end, or that of a rotation's
    overlap if the key has a newer one (`is_replaced`).
    """

    user_id: str
    key_id: str
    scope: Scope
    account_ids: tuple[str, ...] | None
    default_account_id: str | None
    ip_rules: tuple[IpRule, ...] = ()
    expires_ms: int | None = None
    generation: int = 1
    is_replaced: bool = False

    def require(self, scope: Scope) -> None:
        """Raise `forbidden` unless the key's scope holds `scope`."""
        if self.scope < scope:
            raise Problem(
                "forbidden",
                f"this needs a key with scope {scope.name.lower()}; "
                f"yours has {self.scope.name.lower()}",
            )

    def require_address(self, address: Address | None) -> None:
        """Raise `forbidden` unless the key may be used from an address (None: not known)."""
        if not self.ip_rules or allows(self.ip_rules, address):
            return
        if address is None:
            where = "an address that cannot be told from X-Forwarded-For"
        else:
            where = str(address)
        raise Problem(
            "forbidden",
            f"this key may not be used from {where}; add the address to the key's ip_rules",
        )

    def check_valid(self, now_ms: int) -> None:
        """Raise `unauthorized` when its time has passed."""
        if self.expires_ms is None or now_ms < self.expires_ms:
            return
        if self.is_replaced:
            raise Problem("unauthorized", "the API key was rotated; use its new secret")
        raise Problem("unauthorized", "the API key has expired; make a new one")

    def may_do_as(self, other: "Principal") -> bool:
        """Whether both may do the same from the same addresses, however long."""
        return (self.scope, self.account_ids, self.default_account_id, self.ip_rules) == (
            other.scope, other.account_ids, other.default_account_id, other.ip_rules,
        )  # fmt: skip

    def may_see(self, account_id: str) -> bool:
        """Whether the key covers an account of its user."""
        return self.account_ids is None or account_id in self.account_ids
