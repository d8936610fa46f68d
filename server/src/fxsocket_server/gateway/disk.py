"""What a disk that is full or fails still takes."""

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.ports import Journal


def check_disk(journal: Journal) -> None:
    """Refuse to open: what room the disk has is left to closes and cancels."""
    shortage = journal.shortage()
    if shortage is not None:
        raise Problem(
            "journal_full",
            f"the disk that holds the journal is full or fails ({shortage}): closing and "
            "cancelling are allowed, opening is not; nothing was sent",
            retry_after_s=5,
        )
