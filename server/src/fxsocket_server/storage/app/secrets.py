"""Sealed secrets in app.db. Whoever reads the table learns nothing: the keys are elsewhere."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, RowMapping, and_, func, insert, select, update

from fxsocket_server.model.account import Account
from fxsocket_server.security.rotation import SealedRow
from fxsocket_server.security.vault import parse_envelope, place_of_secret
from fxsocket_server.storage.app.tables import secrets


class SecretTable:
    """The table of sealed secrets."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, connection: Connection, account: Account, name: str, row: SealedRow) -> None:
        """Store a sealed secret in place of the last one of its name."""
        place = row.place
        values = {
            "id": place.row,
            "user_id": account.user_id,
            "account_id": account.id,
            "name": name,
            **_sealed(row.sealed),
            "key_version": place.key_version,
        }
        connection.execute(secrets.delete().where(secrets.c.id == place.row))
        connection.execute(insert(secrets).values(values))

    def read(self, account_id: str, name: str) -> SealedRow | None:
        """An account's sealed secret."""
        query = select(secrets).where(secrets.c.account_id == account_id, secrets.c.name == name)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _row(row._mapping)

    def forget(self, connection: Connection, account_id: str) -> None:
        """Delete all secrets of an account."""
        connection.execute(secrets.delete().where(secrets.c.account_id == account_id))

    # --- SealedRows --------------------------------------------------------------------------

    def count_not_under(self, key_id: str) -> int:
        """How many are wrapped by another key."""
        query = select(func.count()).select_from(secrets).where(secrets.c.key_id != key_id)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def not_under(self, key_id: str, limit: int) -> Sequence[SealedRow]:
        """Some that are wrapped by another key."""
        query = select(secrets).where(secrets.c.key_id != key_id).order_by(secrets.c.id)
        with self._engine.connect() as connection:
            return [_row(row._mapping) for row in connection.execute(query.limit(limit))]

    def replace_sealed(self, changes: Sequence[tuple[SealedRow, str]]) -> None:
        """Store newer envelopes, but of rows that were changed meanwhile."""
        with self._engine.begin() as connection:
            for row, sealed in changes:
                same = and_(secrets.c.id == row.place.row, secrets.c.sealed == row.sealed)
                connection.execute(update(secrets).where(same).values(_sealed(sealed)))


def _sealed(text: str) -> dict[str, str]:
    return {"sealed": text, "key_id": parse_envelope(text).key_id}


def _row(row: RowMapping) -> SealedRow:
    place = place_of_secret(row["id"], row["account_id"], row["key_version"])
    return SealedRow(place, row["sealed"])
