"""Users, keys and accounts in app.db. Called at start and by rare commands, never per request."""

from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, create_engine, insert, inspect, select, text, update

from fxsocket_server.model.account import Account
from fxsocket_server.security.keys import ApiKey
from fxsocket_server.security.principal import Scope
from fxsocket_server.storage.app.tables import accounts, api_keys, connector_keys, risk_rules, users

HEAD_REVISION = "0003"


class AppStore:
    """app.db behind SQLAlchemy Core."""

    def __init__(self, database_url: str) -> None:
        self._engine: Engine = create_engine(database_url)
        with self._engine.begin() as connection:
            _migrate(connection)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def ensure_user(self, user_id: str, name: str, now_ms: int) -> None:
        """Create a user unless it is there."""
        with self._engine.begin() as connection:
            if connection.execute(select(users.c.id).where(users.c.id == user_id)).first() is None:
                row = {"id": user_id, "name": name, "created_ms": now_ms}
                connection.execute(insert(users).values(row))

    def accounts(self) -> list[Account]:
        """Every account, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(accounts.c.body).order_by(accounts.c.created_ms))
            return [msgspec.json.decode(body, type=Account) for (body,) in rows]

    def add_account(self, account: Account) -> None:
        """Store a new account."""
        with self._engine.begin() as connection:
            connection.execute(
                insert(accounts).values(
                    id=account.id,
                    user_id=account.user_id,
                    kind=account.kind.value,
                    created_ms=account.created_ms,
                    body=msgspec.json.encode(account).decode(),
                )
            )

    def update_account(self, account: Account) -> None:
        """Store a newer version of an account."""
        body = msgspec.json.encode(account).decode()
        with self._engine.begin() as connection:
            connection.execute(
                update(accounts).where(accounts.c.id == account.id).values(body=body)
            )

    def add_connector_key(self, key: str, account: Account, now_ms: int) -> None:
        """Store the name of a connector token that lets an account's terminal in."""
        row = {
            "key": key,
            "user_id": account.user_id,
            "account_id": account.id,
            "created_ms": now_ms,
        }
        with self._engine.begin() as connection:
            connection.execute(insert(connector_keys).values(row))

    def connector_keys(self, account_id: str) -> list[str]:
        """The names of an account's tokens that are not revoked, oldest first."""
        keys = connector_keys.c
        query = select(keys.key).where(keys.account_id == account_id, keys.revoked_ms.is_(None))
        with self._engine.connect() as connection:
            return list(connection.execute(query.order_by(keys.created_ms, keys.key)).scalars())

    def api_keys(self) -> list[ApiKey]:
        """Every key that is not revoked."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(api_keys).where(api_keys.c.revoked_ms.is_(None)))
            return [_key_of(row._asdict()) for row in rows]

    def put_key(self, key: ApiKey) -> None:
        """Store a key, replacing an older version and any key with the same secret."""
        row = {**msgspec.structs.asdict(key), "scope": int(key.scope)}
        if key.account_ids is not None:
            row["account_ids"] = msgspec.json.encode(key.account_ids).decode()
        with self._engine.begin() as connection:
            same = (api_keys.c.id == key.id) | (api_keys.c.digest == key.digest)
            connection.execute(api_keys.delete().where(same))
            connection.execute(insert(api_keys).values(row))

    def revoke_keys(self, name: str, now_ms: int) -> list[str]:
        """Revoke all keys of a name; their ids."""
        with self._engine.begin() as connection:
            live = (api_keys.c.name == name) & api_keys.c.revoked_ms.is_(None)
            ids = list(connection.execute(select(api_keys.c.id).where(live)).scalars())
            connection.execute(update(api_keys).where(live).values(revoked_ms=now_ms))
            return ids

    def risk_rules(self) -> dict[tuple[str, str], dict[str, str]]:
        """The texts of all risk rules, by ("account" or "key", id)."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(risk_rules)).tuples()
            return {
                (kind, subject): msgspec.json.decode(body, type=dict[str, str])
                for kind, subject, body in rows
            }

    def put_risk_rules(self, kind: str, subject_id: str, texts: dict[str, str]) -> None:
        """Replace the rules of an account or key; none at all removes the row."""
        its = (risk_rules.c.kind == kind) & (risk_rules.c.subject_id == subject_id)
        body = msgspec.json.encode(texts).decode()
        with self._engine.begin() as connection:
            connection.execute(risk_rules.delete().where(its))
            if texts:
                row = {"kind": kind, "subject_id": subject_id, "body": body}
                connection.execute(insert(risk_rules).values(row))


def _key_of(row: dict[str, object]) -> ApiKey:
    chosen = row["account_ids"]
    if isinstance(chosen, str):
        row["account_ids"] = msgspec.json.decode(chosen, type=tuple[str, ...])
    row["scope"] = Scope(int(str(row["scope"])))
    return msgspec.convert({str(name): value for name, value in row.items()}, ApiKey)


def _migrate(connection: Connection) -> None:
    """Bring the schema to HEAD_REVISION; Alembic is only loaded when there is something to do."""
    if inspect(connection).has_table("alembic_version"):
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found == HEAD_REVISION:
            return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD_REVISION)
