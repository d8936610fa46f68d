"""Users, keys and accounts in app.db. Called at start and by rare commands, never per request."""

from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, create_engine, insert, inspect, select, text, update

from fxsocket_server.core.errors import Problem
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountKind
from fxsocket_server.security.rotation import SealedRow
from fxsocket_server.settings import SettingsError
from fxsocket_server.storage.app.keys import KeyTables
from fxsocket_server.storage.app.secrets import SecretTable
from fxsocket_server.storage.app.tables import accounts, connector_keys, risk_rules, users

HEAD_REVISION = "0005"
PASSWORD = "password"  # noqa: S105 - the name of a secret


class AppVersionError(SettingsError):
    """app.db was written by a newer server; the text says what to do."""


class AppStore:
    """app.db behind SQLAlchemy Core."""

    def __init__(self, database_url: str) -> None:
        """Open it, brought to this server's revision; raises AppVersionError."""
        self._engine: Engine = create_engine(database_url)
        with self._engine.begin() as connection:
            _migrate(connection)
        self.secrets = SecretTable(self._engine)
        self.keys = KeyTables(self._engine)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def ensure_user(self, user_id: str, name: str, now_ms: int) -> None:
        """Create a user unless it is there."""
        with self._engine.begin() as connection:
            if connection.execute(select(users.c.id).where(users.c.id == user_id)).first() is None:
                row = {"id": user_id, "name": name, "created_ms": now_ms}
                connection.execute(insert(users).values(row))

    # --- accounts ----------------------------------------------------------------------------

    def accounts(self) -> list[Account]:
        """Every account that was not removed, oldest first."""
        query = select(accounts.c.body).where(accounts.c.removed_ms.is_(None))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(accounts.c.created_ms, accounts.c.id))
            return [msgspec.json.decode(body, type=Account) for (body,) in rows]

    def add_account(
        self,
        account: Account,
        *,
        connector_key: str | None = None,
        password: SealedRow | None = None,
    ) -> None:
        """Store a new account with the name of its connector token and its sealed password.

        All or nothing; raises `account_exists` when its user has linked the same login already.
        """
        link = _link_of(account)
        row = {
            "id": account.id,
            "user_id": account.user_id,
            "kind": account.kind.value,
            "created_ms": account.created_ms,
            "body": msgspec.json.encode(account).decode(),
            "link": link,
        }
        with self._engine.begin() as connection:
            _refuse_linked(connection, account, link)
            connection.execute(insert(accounts).values(row))
            if connector_key is not None:
                _add_connector_key(connection, connector_key, account)
            if password is not None:
                self.secrets.write(connection, account, PASSWORD, password)

    def update_account(self, account: Account) -> None:
        """Store a newer version of an account."""
        body = msgspec.json.encode(account).decode()
        with self._engine.begin() as connection:
            connection.execute(
                update(accounts).where(accounts.c.id == account.id).values(body=body)
            )

    def remove_account(self, account: Account, now_ms: int) -> None:
        """Forget an account's link, tokens and secrets; its row stays beside its journal."""
        its = connector_keys.c.account_id == account.id
        default_of = users.c.default_account_id == account.id
        with self._engine.begin() as connection:
            connection.execute(
                update(accounts)
                .where(accounts.c.id == account.id)
                .values(removed_ms=now_ms, link=None)
            )
            connection.execute(update(connector_keys).where(its).values(revoked_ms=now_ms))
            connection.execute(update(users).where(default_of).values(default_account_id=None))
            self.secrets.forget(connection, account.id)

    def default_accounts(self) -> dict[str, str]:
        """The default account of each user that has chosen one."""
        query = select(users.c.id, users.c.default_account_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(users.c.default_account_id.is_not(None)))
            return dict(rows.tuples().all())

    def put_default_account(self, user_id: str, account_id: str | None) -> None:
        """Choose a user's default account, or none."""
        its = update(users).where(users.c.id == user_id)
        with self._engine.begin() as connection:
            connection.execute(its.values(default_account_id=account_id))

    def password(self, account_id: str) -> SealedRow | None:
        """The sealed password of an account."""
        return self.secrets.read(account_id, PASSWORD)

    def drop_password(self, account_id: str) -> None:
        """Forget the password of an account."""
        with self._engine.begin() as connection:
            self.secrets.forget(connection, account_id)

    def put_password(self, account: Account, row: SealedRow) -> None:
        """Store an account's newer sealed password."""
        with self._engine.begin() as connection:
            self.secrets.write(connection, account, PASSWORD, row)

    def connector_keys(self, account_id: str) -> list[str]:
        """The names of an account's tokens that are not revoked, oldest first."""
        keys = connector_keys.c
        query = select(keys.key).where(keys.account_id == account_id, keys.revoked_ms.is_(None))
        with self._engine.connect() as connection:
            return list(connection.execute(query.order_by(keys.created_ms, keys.key)).scalars())

    def risk_rules(self) -> dict[tuple[str, str], dict[str, str]]:
        """The texts of all risk rules, by ("account" or "key", id)."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(risk_rules))
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


def _link_of(account: Account) -> str | None:
    """What can be linked only once: a terminal's login at its broker's server."""
    if account.kind is not AccountKind.TERMINAL:
        return None
    return f"{account.login}|{account.server}"


def _refuse_linked(connection: Connection, account: Account, link: str | None) -> None:
    columns = accounts.c
    same = select(columns.id).where(columns.user_id == account.user_id, columns.link == link)
    linked = None if link is None else connection.execute(same).scalar()
    if linked is not None:
        raise Problem(
            "account_exists",
            f"login {account.login} on {account.server!r} is linked already as {linked}",
            pointer="/login",
        )


def _add_connector_key(connection: Connection, key: str, account: Account) -> None:
    row = {
        "key": key,
        "user_id": account.user_id,
        "account_id": account.id,
        "created_ms": account.created_ms,
    }
    connection.execute(insert(connector_keys).values(row))


def _migrate(connection: Connection) -> None:
    """Bring the schema to HEAD_REVISION; Alembic is only loaded when there is something to do."""
    if inspect(connection).has_table("alembic_version"):
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found == HEAD_REVISION:
            return
        if found is not None and found > HEAD_REVISION:
            raise AppVersionError(
                f"--data: app.db has revision {found}, this server knows {HEAD_REVISION}: "
                "start the newer server that wrote it"
            )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD_REVISION)
