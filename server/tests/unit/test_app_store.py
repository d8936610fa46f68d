"""app.db: users, accounts and keys survive; the schema is Alembic's and the tables' alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from msgspec.structs import replace
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import IntegrityError

from fxsocket_server.bootstrap.accounts import load_profile, new_account
from fxsocket_server.model.account import Account
from fxsocket_server.security.keys import ApiKey
from fxsocket_server.security.principal import Scope
from fxsocket_server.settings import Settings
from fxsocket_server.storage.app.store import AppStore
from fxsocket_server.storage.app.tables import metadata


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'app.db'}"


@pytest.fixture
def store(url: str) -> Iterator[AppStore]:
    store = AppStore(url)
    store.ensure_user("usr_1", "One", 1)
    yield store
    store.close()


def account(name: str, created_ms: int = 1) -> Account:
    return new_account(Settings(), load_profile("standard"), name, "usr_1", 7, created_ms)


def key(name: str, /, **parts: object) -> ApiKey:
    fields = {
        "id": name, "user_id": "usr_1", "name": "bot", "digest": name.encode(),
        "scope": Scope.TRADE, "account_ids": ("acc_1", "acc_2"), "default_account_id": "acc_1",
        "created_ms": 5, "expires_ms": 99,
    }  # fmt: skip
    return ApiKey(**{**fields, **parts})  # type: ignore[arg-type]


def test_the_revisions_make_the_tables(store: AppStore, url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
    engine.dispose()


def test_accounts_come_back_oldest_first(store: AppStore, url: str) -> None:
    accounts = [account("acc_b", 1), account("acc_a", 2), account("acc_c", 3)]
    for one in reversed(accounts):
        store.add_account(one)
    store.close()
    again = AppStore(url)
    assert again.accounts() == accounts
    again.close()


def test_an_account_is_added_once(store: AppStore) -> None:
    store.add_account(account("acc_1"))
    with pytest.raises(IntegrityError):
        store.add_account(account("acc_1"))


def test_keys_come_back_whole(store: AppStore, url: str) -> None:
    keys = [key("key_1"), key("key_2", account_ids=None, default_account_id=None, expires_ms=None)]
    for one in keys:
        store.keys.put(one)
    store.close()
    again = AppStore(url)
    assert again.keys.valid() == keys
    again.close()


def test_a_key_is_replaced_by_its_next_version(store: AppStore) -> None:
    store.keys.put(key("key_1"))
    changed = replace(key("key_1"), name="new", scope=Scope.READ)
    store.keys.put(changed)
    assert store.keys.valid() == [changed]


def test_one_secret_is_one_key(store: AppStore) -> None:
    store.keys.put(key("key_1"))
    newer = replace(key("key_2"), digest=b"key_1")
    store.keys.put(newer)
    assert store.keys.valid() == [newer]


def test_revoked_keys_are_gone(store: AppStore) -> None:
    for name in ("key_1", "key_2"):
        store.keys.put(key(name))
    other = key("key_3", name="other")
    store.keys.put(other)
    assert sorted(store.keys.revoke_named("bot", 50)) == ["key_1", "key_2"]
    assert store.keys.valid() == [other]
    assert store.keys.revoke_named("bot", 60) == []


def test_a_user_is_made_once(store: AppStore) -> None:
    store.ensure_user("usr_1", "Again", 2)
    store.ensure_user("usr_2", "Two", 3)
    store.keys.put(key("key_1", user_id="usr_2"))
    assert store.keys.valid()[0].user_id == "usr_2"
