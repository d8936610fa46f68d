"""Verifies a journal: chains without a break, logs without a hole, and replay = state."""

from fxsocket_server.storage.journal.audit.report import AccountReport, AuditReport, Finding
from fxsocket_server.storage.journal.audit.run import Unreadable, audit

__all__ = ["AccountReport", "AuditReport", "Finding", "Unreadable", "audit"]
