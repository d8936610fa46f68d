"""Changes the key-encryption key under all sealed secrets, while the server runs.

Every step leaves all secrets readable, and a rotation that was cut off anywhere goes on where it
was: keys are only retired once nothing needs them.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from fxsocket_server.security.vault import KeyProvider, Place, Vault

_BATCH_ROWS = 100


class SealedRow(Struct, frozen=True):
    """A sealed secret, and where it is stored."""

    place: Place
    sealed: str


class SealedRows(Protocol):
    """The stored secrets; every call is a transaction."""

    def count_not_under(self, key_id: str) -> int:
        """How many are wrapped by another key."""
        ...

    def not_under(self, key_id: str, limit: int) -> Sequence[SealedRow]:
        """Some that are wrapped by another key."""
        ...

    def replace_sealed(self, changes: Sequence[tuple[SealedRow, str]]) -> None:
        """Store newer envelopes, but of rows that were changed meanwhile."""
        ...


class RotatingKeys(KeyProvider, Protocol):
    """Keys of which there can be a next one."""

    @property
    def is_rotating(self) -> bool:
        """Whether an older key is still kept: a rotation was not finished."""
        ...

    def begin(self) -> None:
        """Make the next key the one of now, durably; VaultError says what its owner must do."""
        ...

    def retire(self) -> None:
        """Forget every key but the one of now."""
        ...


Progress = Callable[[int, int], None]


def rotate(keys: RotatingKeys, vault: Vault, rows: SealedRows, progress: Progress) -> int:
    """Rotate, or finish a rotation that was cut off; how many secrets were wrapped anew.

    `progress` hears how many are done, and of how many. VaultError.
    """
    if not keys.is_rotating:
        keys.begin()
    key_id = keys.current()
    done, total = 0, rows.count_not_under(key_id)
    progress(done, total)
    while batch := rows.not_under(key_id, _BATCH_ROWS):  # each pass wraps what it finds
        rows.replace_sealed([(row, vault.rewrap(row.sealed, row.place)) for row in batch])
        done += len(batch)
        progress(done, max(total, done))
    keys.retire()
    return done
