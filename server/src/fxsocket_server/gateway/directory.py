"""The accounts by id, and which of them a key may use."""

from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.market import MarketData
from fxsocket_server.gateway.ports import Bus, FaultSwitch
from fxsocket_server.gateway.terminal import TerminalMessage
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountStatus
from fxsocket_server.security.principal import Principal


class LinkedAccount(Struct):
    """An account that this server runs, or ran: only a connected one has a lane.

    A simulated terminal has a switch for its faults.
    """

    account: Account
    status: AccountStatus
    lane: Lane | None = None
    market: MarketData | None = None
    fault_switch: FaultSwitch | None = None
    error: str | None = None


class Directory:
    """Knows every account, and hears of terminals that come and go."""

    def __init__(self, bus: Bus) -> None:
        self.accounts: dict[str, LinkedAccount] = {}
        self.default_accounts: dict[str, str] = {}  # of users that have chosen one
        self._removed: dict[str, LinkedAccount] = {}  # the newest, for streams that still look
        bus.subscribe("terminal.*", self._on_terminal)

    def remove(self, linked: LinkedAccount) -> None:
        """Know an account no more, but for streams that were sending of it."""
        self.accounts.pop(linked.account.id, None)
        self._removed[linked.account.id] = linked
        if len(self._removed) > limits.REMOVED_ACCOUNTS:
            del self._removed[next(iter(self._removed))]

    def has_published(self, account_id: str) -> LinkedAccount:
        """An account that is there, or was until lately; raises LookupError."""
        return self.accounts.get(account_id) or self._removed[account_id]

    def _on_terminal(self, message: object) -> None:
        assert isinstance(message, TerminalMessage)
        linked = self.accounts.get(message.account_id)
        if linked is not None:
            linked.status = message.status
            linked.error = None if message.status is AccountStatus.CONNECTED else message.detail

    def visible(self, principal: Principal) -> list[LinkedAccount]:
        """The accounts that a key may see, oldest first."""
        return [a for a in self.accounts.values() if self._is_visible(principal, a)]

    def _is_visible(self, principal: Principal, linked: LinkedAccount) -> bool:
        account = linked.account
        return account.user_id == principal.user_id and principal.may_see(account.id)

    def default_of(self, principal: Principal) -> str | None:
        """The account that a key means when it names none: its own, else its user's default."""
        for wanted in (principal.default_account_id, self.default_accounts.get(principal.user_id)):
            linked = self.accounts.get(wanted or "")
            if linked is not None and self._is_visible(principal, linked):
                return wanted
        return None

    def choose(self, principal: Principal, account_id: str | None) -> LinkedAccount:
        """The account that a request means.

        Raises `not_found` for an account that the key does not cover, `account_required` when none
        is named and the key has several and no default.
        """
        wanted = account_id or self.default_of(principal)
        if wanted is not None:
            linked = self.accounts.get(wanted)
            if linked is None or not self._is_visible(principal, linked):
                raise _unknown(wanted)
            return linked
        visible = self.visible(principal)
        if len(visible) == 1:
            return visible[0]
        choices = ", ".join(linked.account.id for linked in visible) or "none yet"
        raise Problem(
            "account_required",
            f"name the account with X-Account-Id or ?account_id=; this key has: {choices}",
            pointer="?account_id",
        )


def no_terminal(linked: LinkedAccount) -> Problem:
    """Why a command for an account without terminal is refused."""
    why = f" ({linked.error})" if linked.error else ""
    return Problem(
        "unavailable",
        f"account {linked.account.id} is {linked.status.value}{why}; nothing was sent",
        retry_after_s=5,
    )


def _unknown(account_id: str) -> Problem:
    return Problem("not_found", f"no account {account_id[:64]!r} for this key")
