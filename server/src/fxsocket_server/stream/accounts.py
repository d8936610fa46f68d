"""The accounts as the stream sees them: the one that a frame means, and every one's event log."""

from structlog.typing import FilteringBoundLogger

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.gateway import Gateway
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.security.principal import Principal
from fxsocket_server.stream.log_reader import LogUnreadable


def lane_of(gateway: Gateway, principal: Principal, account_id: str | None) -> Lane:
    """The lane of the account that a frame means; the detail of a problem fits a frame."""
    try:
        return gateway.lane(principal, account_id)
    except Problem as problem:
        if problem.kind.code != "account_required":
            raise
        raise _account_required(gateway, principal) from None


def account_of(gateway: Gateway, principal: Principal, account_id: str | None) -> str:
    """The id of the account that a frame means, connected or not."""
    try:
        return gateway.choose(principal, account_id).account.id
    except Problem as problem:
        if problem.kind.code != "account_required":
            raise
        raise _account_required(gateway, principal) from None


def _account_required(gateway: Gateway, principal: Principal) -> Problem:
    choices = ", ".join(linked.account.id for linked in gateway.visible(principal))
    return Problem(
        "account_required",
        f"name the account in account_id; this key has: {choices or 'none yet'}",
        pointer="/account_id",
    )


def standing(gateway: Gateway, principal: Principal) -> list[dict[str, object]]:
    """Where the log of each account of a key stands: what a client needs to resume later."""
    return [
        {
            "account_id": linked.account.id,
            "epoch": None if linked.lane is None else linked.lane.book.epoch,
            "head": None if linked.lane is None else linked.lane.published_seq,
        }
        for linked in gateway.visible(principal)
    ]


class GatewayLogs:
    """The event logs behind the gateway."""

    def __init__(self, gateway: Gateway, logger: FilteringBoundLogger) -> None:
        self._gateway = gateway
        self._log = logger

    def epoch(self, account_id: str) -> str:
        """The log's epoch."""
        return self._lane(account_id).book.epoch

    def head(self, account_id: str) -> int:
        """The last published event."""
        return self._lane(account_id).published_seq

    def events(self, account_id: str, after: int, limit: int) -> list[Event]:
        """Committed events above `after`, in order; raises LogUnreadable."""
        try:
            return self._gateway.journal.events(account_id, after, limit)
        except Exception as error:
            self._log.error("event log unreadable", account_id=account_id, exc_info=error)
            raise LogUnreadable from error

    def _lane(self, account_id: str) -> Lane:
        lane = self._gateway.accounts[account_id].lane
        if lane is None:
            raise LookupError(f"account {account_id} has published, yet it has no lane")
        return lane
