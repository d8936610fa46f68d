"""What an audit says: the figures of each account, and what was found wrong."""

from typing import Literal

from msgspec import Struct

from fxsocket_server.core import limits

Subject = Literal["file", "chain", "seq", "order", "deal", "position", "balance", "command", "row"]


class Finding(Struct, frozen=True, kw_only=True):
    """Something that is not as it was written; `seq` where one event is at fault."""

    account_id: str | None
    seq: int | None
    subject: Subject
    detail: str


class AccountReport(Struct, kw_only=True):
    """How much of an account was verified.

    `partial_positions` were opened before the account was linked: their volume is not the sum of
    deals that this journal holds.
    """

    account_id: str
    events: int = 0
    orders: int = 0
    deals: int = 0
    positions: int = 0
    partial_positions: int = 0
    commands: int = 0
    head: str = ""


class AuditReport(Struct, kw_only=True):
    """The result of an audit; findings past a bound are only counted."""

    accounts: list[AccountReport] = []
    findings: list[Finding] = []
    findings_left_out: int = 0

    @property
    def is_intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def find(
        self, subject: Subject, detail: str, account_id: str | None, seq: int | None = None
    ) -> None:
        """Add a finding."""
        if len(self.findings) >= limits.AUDIT_FINDINGS:
            self.findings_left_out += 1
            return
        found = Finding(account_id=account_id, seq=seq, subject=subject, detail=detail)
        self.findings.append(found)
