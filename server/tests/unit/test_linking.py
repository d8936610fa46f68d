"""Linking an account whose terminal will dial in: once, checked, and nothing secret stored."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from fxsocket_server.bootstrap.data_folder import DataFolder
from fxsocket_server.bootstrap.linking import add_account, linked_accounts, remove_account
from fxsocket_server.bootstrap.terminals import completed
from fxsocket_server.bootstrap.vaults import rotating_vault
from fxsocket_server.cli.app import app
from fxsocket_server.core.errors import Problem
from fxsocket_server.fxb.messages import TerminalAccount
from fxsocket_server.model.enums import AccountKind, MarginMode, Platform
from fxsocket_server.security.connector_tokens import parse_token, token_of
from fxsocket_server.settings import SettingsError
from fxsocket_server.storage.app.store import AppStore

TOLD = TerminalAccount(
    company="Broker", currency="EUR", money_digits=2, leverage=30, balance=1, credit=0, time_ms=1,
    offset_s=7_200, stop_out_level=5_000, margin_call_level=10_000,
)  # fmt: skip


def link(folder: Path, server: str = "Broker-Demo", login: int = 77) -> str:
    made = add_account(folder, {"kind": "TERMINAL", "server": server, "login": login})
    return made.token


def test_a_linked_account_waits_for_its_terminal(tmp_path: Path) -> None:
    token = parse_token(link(tmp_path))
    [account] = linked_accounts(tmp_path)
    assert (account.kind, account.server, account.login) == (
        AccountKind.TERMINAL, "Broker-Demo", 77,
    )  # fmt: skip
    assert account.currency == ""
    folder = DataFolder(tmp_path)
    store = AppStore(folder.app_url)
    assert store.connector_keys(account.id) == [token.key]
    assert token_of(folder.pepper(), token.key) == token
    store.close()
    folder.release()


def test_nothing_secret_is_stored(tmp_path: Path) -> None:
    secret = parse_token(link(tmp_path)).secret
    for path in tmp_path.iterdir():
        assert secret not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("server", "login", "error"),
    [
        ("", 1, "--server"),
        ("a|b", 1, "--server"),
        ("x" * 65, 1, "--server"),
        ("Broker", 0, "--login"),
        ("Broker", 2**53, "--login"),
        ("Broker-Demo", 77, "linked already"),
    ],
)
def test_what_cannot_be_linked_is_refused_by_name(
    server: str, login: int, error: str, tmp_path: Path
) -> None:
    link(tmp_path)
    with pytest.raises(SettingsError, match=error):
        link(tmp_path, server, login)
    assert len(linked_accounts(tmp_path)) == 1


def test_a_folder_that_a_server_has_open_is_refused(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with pytest.raises(SettingsError, match="another server"):
        link(tmp_path)
    folder.release()


def test_a_simulated_account_is_made_by_the_same_rules(tmp_path: Path) -> None:
    options = {"kind": "SIM", "profile": "mt4", "balance": 50.5, "seed": 7, "name": "Grid"}
    made = add_account(tmp_path, options)
    assert made.token == ""
    [account] = linked_accounts(tmp_path)
    assert (account.kind, account.platform, account.name) == (AccountKind.SIM, "MT4", "Grid")
    assert (account.deposit, account.seed) == (5_050, 7)
    with pytest.raises(SettingsError, match="--login: login belongs to accounts of kind TERMINAL"):
        add_account(tmp_path, {"kind": "SIM", "login": 5})


def test_what_was_removed_can_be_linked_anew(tmp_path: Path) -> None:
    token = parse_token(link(tmp_path))
    [account] = linked_accounts(tmp_path)
    remove_account(tmp_path, account.id)
    assert linked_accounts(tmp_path) == []
    store = AppStore(f"sqlite:///{tmp_path / 'app.db'}")
    assert store.connector_keys(account.id) == []
    store.close()
    assert parse_token(link(tmp_path)).key != token.key
    [again] = linked_accounts(tmp_path)
    assert again.id != account.id
    with pytest.raises(SettingsError, match=again.id):
        remove_account(tmp_path, account.id)


def test_a_password_from_a_file_is_kept_sealed(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("canary-password\n")
    data = tmp_path / "data"
    options = ["--server", "S", "--login", "5", "--password-file", str(file), "--data", str(data)]
    added = CliRunner().invoke(app, ["account", "add", *options])
    assert added.exit_code == 0
    assert "canary" not in added.output
    for path in data.rglob("*"):
        assert path.is_dir() or b"canary" not in path.read_bytes(), path
    [account] = linked_accounts(data)
    store = AppStore(f"sqlite:///{data / 'app.db'}")
    row = store.password(account.id)
    assert row is not None
    _, vault = rotating_vault("file", data)
    assert vault.open(row.sealed, row.place).reveal() == "canary-password"
    store.close()


def test_the_command_prints_the_token_once(tmp_path: Path) -> None:
    runner = CliRunner()
    options = ["account", "add", "--server", "S", "--login", "5", "--data", str(tmp_path)]
    added = runner.invoke(app, [*options, "--json"])
    shown = json.loads(added.stdout)
    assert parse_token(shown["token"]).text == shown["token"]
    listed = runner.invoke(app, ["account", "list", "--data", str(tmp_path)])
    assert shown["account_id"] in listed.stdout
    assert "fxc_" not in listed.stdout
    again = runner.invoke(app, options)
    assert again.exit_code == 2


# --- what the terminal says ------------------------------------------------------------------


def test_a_terminal_completes_its_account(tmp_path: Path) -> None:
    link(tmp_path)
    [account] = linked_accounts(tmp_path)
    whole = completed(account, TOLD)
    assert (whole.currency, whole.leverage, whole.broker) == ("EUR", 30, "Broker")
    assert (whole.stop_out_level, whole.margin_call_level) == (5_000, 10_000)
    assert completed(whole, replace(TOLD, leverage=20)).leverage == 20


@pytest.mark.parametrize(
    "change",
    [
        {"currency": "USD"},
        {"money_digits": 0},
        {"margin_mode": MarginMode.NETTING},
        {"platform": Platform.MT4},
    ],
    ids=str,
)
def test_another_account_does_not_take_its_place(change: dict[str, object], tmp_path: Path) -> None:
    link(tmp_path)
    [account] = linked_accounts(tmp_path)
    whole = completed(account, TOLD)
    with pytest.raises(Problem, match="link that one on its own"):
        completed(whole, replace(TOLD, **change))
