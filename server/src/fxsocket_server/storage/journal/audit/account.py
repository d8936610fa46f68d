"""Verifies one account: its log, its records against the log, and the sums of its deals."""

import sqlite3
from contextlib import suppress

import msgspec

from fxsocket_server.gateway.views import BalanceView
from fxsocket_server.model.conversion import currency_digits
from fxsocket_server.model.units import fixed_of
from fxsocket_server.storage.journal.audit.log import LogAudit
from fxsocket_server.storage.journal.audit.progress import Progress
from fxsocket_server.storage.journal.audit.records import RecordAudit
from fxsocket_server.storage.journal.audit.report import AccountReport, AuditReport, Subject
from fxsocket_server.storage.journal.audit.sums import CashSums, PositionSums


class _BalancePayload(msgspec.Struct, frozen=True):
    balance: BalanceView


class AccountAudit:
    """One account of a journal; what is wrong goes into the report."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        report: AuditReport,
        account: AccountReport,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._report = report
        self._account = account
        self._progress = progress
        self._log = LogAudit(connection, report, account, progress)
        self._positions = PositionSums()
        self._cash = CashSums()
        self._before_balance = CashSums()

    def run(self, user_id: str, epoch: str, balance: int, credit: int) -> None:
        """Verify the account, whose row says this of it."""
        self._log.walk(user_id, epoch)
        records = RecordAudit(
            self._connection, self._report, self._account, self._log.replay, self._progress
        )
        for _ in records.orders():
            pass  # an order adds up to nothing: comparing it was all
        self._add_up_deals(records)
        self._check_positions(records)
        records.balance(balance, credit)
        records.rest()
        self._check_cash(balance, credit)

    def _add_up_deals(self, records: RecordAudit) -> None:
        replay = self._log.replay
        first_balance = replay.first_balance or 0
        for deal in records.deals():
            self._positions.add_deal(deal)
            self._cash.add(deal)
            if replay.newest.get(deal.id, first_balance) < first_balance:
                self._before_balance.add(deal)

    def _check_positions(self, records: RecordAudit) -> None:
        for position in records.positions():
            difference = self._positions.add_position(position)
            if difference is not None:
                self._find("position", difference)
        for difference in self._positions.differences():
            self._find("position", difference)
        self._account.partial_positions = self._positions.partial

    def _check_cash(self, balance: int, credit: int) -> None:
        if self._log.replay.first_balance is None:
            return
        first_cash, first_credit = self._opening()
        cash = first_cash + self._cash.cash
        if cash != balance:
            self._find("balance", f"its deals come to {cash}, the balance is {balance}")
        if first_credit + self._cash.credit != credit:
            come_to = first_credit + self._cash.credit
            self._find("balance", f"its credit deals come to {come_to}, the credit is {credit}")

    def _opening(self) -> tuple[int, int]:
        """Balance and credit before the first deal of this journal.

        Nothing where the log begins with the first deposit; else what the terminal told first.
        """
        told = None if self._log.opened_by_deposit else self._first_balance()
        if told is None:
            return 0, 0
        digits = currency_digits(told.currency)
        return (
            fixed_of(told.balance, digits) - self._before_balance.cash,
            fixed_of(told.credit, digits) - self._before_balance.credit,
        )

    def _first_balance(self) -> BalanceView | None:
        row = self._connection.execute(
            "SELECT payload FROM events WHERE account_id = ? AND seq = ?",
            (self._account.account_id, self._log.replay.first_balance),
        ).fetchone()
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(b"{" + row[0] + b"}", type=_BalancePayload).balance
        return None

    def _find(self, subject: Subject, detail: str) -> None:
        self._report.find(subject, detail, self._account.account_id)
