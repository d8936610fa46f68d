"""A terminal's account from link to removal, over REST of a running server and a real terminal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from fxsocket_server.bootstrap.terminal import TerminalNotice
from fxsocket_server.testkit.process import ServerProcess, TerminalProcess

SERVER, LOGIN = "FxSocket-Demo", 1_234_567
KEY = {"Authorization": "Bearer test-key"}
WATCHDOG_S = 30

Json = dict[str, Any]


class Desk:
    """A demo server, and an account that was linked while it ran."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = ServerProcess(folder / "data")
        self.server.start()
        asked = {"kind": "TERMINAL", "server": SERVER, "login": LOGIN}
        made = self.call("POST", "/accounts", json=asked)
        self.account, self.token = made["id"], made["connector_token"]
        self.terminals: list[TerminalProcess] = []

    def call(self, method: str, path: str, status: int = 200, **options: Any) -> Json:
        url = self.server.addresses.rest + path
        answer = requests.request(method, url, headers=KEY, timeout=WATCHDOG_S, **options)
        assert answer.status_code == status, answer.text
        body: Json = answer.json()
        return body

    def status(self) -> tuple[str, str | None]:
        shown = self.call("GET", "/accounts/" + self.account)
        return shown["status"], shown["error"]

    def terminal(self, login: int = LOGIN) -> TerminalProcess:
        """A terminal that dials at once; each login has a ledger of its own."""
        terminal = TerminalProcess(
            self._folder / f"terminal-{login}", self.server.addresses.bridge, self.token,
            "--login", str(login), "--server", SERVER,
        )  # fmt: skip
        terminal.start()
        self.terminals.append(terminal)
        return terminal

    def refused(self, login: int = LOGIN) -> TerminalNotice:
        """What a terminal is told that dials now."""
        terminal = self.terminal(login)
        notice = terminal.wait("disconnected")
        terminal.kill()
        return notice

    def until_connected(self) -> None:
        """Until the server has seen the terminal; its own notice comes a moment before."""
        for _ in range(1_000):  # each look is a request
            if self.status() == ("connected", None):
                return
        raise AssertionError(self.status())

    def end(self) -> None:
        for process in (*self.terminals, self.server):
            if process.running:
                process.kill()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.end()


def test_a_terminal_s_account_lives_and_ends_over_rest(desk: Desk) -> None:
    where = "/accounts/" + desk.account
    assert desk.status() == ("connecting", "its terminal has not dialled in yet")
    assert f"logged in as {LOGIN + 1}" in desk.refused(LOGIN + 1).why
    status, error = desk.status()
    assert status == "error"
    assert f"logged in as {LOGIN + 1}" in str(error)

    terminal = desk.terminal()
    terminal.wait("connected")
    desk.until_connected()
    at = {"account_id": desk.account}
    assert desk.call("GET", "/account", params=at)["login"] == LOGIN

    gone = desk.call("POST", where + "/disconnect")
    assert (gone["status"], gone["error"]) == ("disconnected", "disconnected by its user")
    assert "disconnected by its user" in terminal.wait("disconnected").why
    terminal.kill()
    assert desk.call("GET", "/orders", params=at)["data"] == []
    refusal = desk.call("GET", "/quotes/EURUSD", 503, params=at)
    assert refusal["code"] == "unavailable"
    desk.server.kill()
    desk.server.start()
    assert desk.status() == ("disconnected", "disconnected by its user")
    assert "disconnected by its user" in desk.refused().why

    assert desk.call("POST", where + "/connect")["status"] == "connecting"
    terminal = desk.terminal()
    terminal.wait("connected")
    desk.until_connected()
    desk.call("DELETE", where)
    assert "removed" in terminal.wait("disconnected").why
    terminal.kill()
    desk.call("GET", where, 404)
    assert "unknown or was revoked" in desk.refused().why
