"""Passwords, keys and tokens go through everything that the server does, and show up nowhere.

The search at the end of every run (`nothing_secret_is_left`) looks through what all tests leave on
disk; here the answers are kept, too, and secrets are put where they do not belong.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from fxsocket_server.security.key_format import mint_secret
from fxsocket_server.testkit.leaks import CANARY, leaks_in, leaks_under
from fxsocket_server.testkit.process import ServerProcess, TerminalProcess

WATCHDOG_S = 30
SERVER, LOGIN = "FxSocket-Demo", 1_234_567
PASSWORD = CANARY + "7f3a9c"

Json = dict[str, Any]


class Story:
    """A server with a minted key, everything that it answered, and everything that it left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = ServerProcess(folder / "data", api_key=None)
        self.key = str(self.server.start().api_key)
        self.answers: list[str] = []

    def call(self, method: str, path: str, key: str | None = None, **options: Any) -> Json:
        """A request whose answer is kept for the search."""
        headers = {"Authorization": f"Bearer {key or self.key}", **options.pop("headers", {})}
        url = self.server.addresses.rest + path
        answer = requests.request(method, url, headers=headers, timeout=WATCHDOG_S, **options)
        self.answers.append(f"{answer.headers}\n{answer.text}")
        body: Json = answer.json()
        return body

    def frames(self, *sent: object, key: str | None = None) -> None:
        """Frames on the stream, first the key; what comes back is kept, too."""
        auth = {"action": "auth", "api_key": key or self.key}
        with connect(self.server.addresses.stream) as socket, suppress(ConnectionClosed):
            for frame in (auth, *sent, {"action": "ping", "id": "last"}):
                socket.send(frame if isinstance(frame, str) else json.dumps(frame))
            while '"last"' not in self.answers[-1]:
                self.answers.append(str(socket.recv(timeout=WATCHDOG_S)))

    def command(self, *words: str) -> None:
        """A command of the server's on its data folder; its output is kept."""
        done = subprocess.run(
            [sys.executable, "-m", "fxsocket_server", *words, "--data", str(self.server.data)],
            capture_output=True, check=False, timeout=WATCHDOG_S,
        )  # fmt: skip
        self.answers.append(f"{done.stdout.decode()}\n{done.stderr.decode()}")

    def check(self) -> None:
        """Nothing is found, in what was answered and in what lies there."""
        assert [answer for answer in self.answers if leaks_in(answer.encode())] == []
        assert leaks_under(self.folder) == []


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    story = Story(tmp_path)
    with story.server.ending():
        yield story


def link(story: Story) -> tuple[str, str]:
    """A terminal's account with a password; the answer with its token is the one that may tell."""
    made = story.call(
        "POST", "/accounts",
        json={"kind": "TERMINAL", "server": SERVER, "login": LOGIN, "password": PASSWORD},
    )  # fmt: skip
    assert leaks_in(story.answers.pop().encode()) == ["fxc_" + made["connector_token"][4:9] + "..."]
    return made["id"], made["connector_token"]


def misplaced(story: Story, account: str, token: str) -> None:
    """Secrets where they do not belong; every answer names the fault and repeats none."""
    key = story.key
    for secret in (key, token):
        story.call("GET", "/accounts/" + secret)
        story.call("GET", "/account", headers={"X-Account-Id": secret})
        story.call("GET", f"/orders?cursor={secret}&symbol={secret}&unknown={secret}")
        story.call("GET", f"/{secret}")
        story.call("GET", "/symbols/" + secret)
        story.call("POST", "/orders", json={"symbol": secret, "type": "BUY", "volume": 1})
        story.call("POST", "/orders", json={"symbol": "EURUSD", "type": secret, "volume": secret})
        story.call("POST", "/orders", json={secret: secret})
        story.call("GET", "/account", key=secret[:-1] + "x")
        story.frames({"action": secret}, {"action": "subscribe", "symbols": [secret]}, secret)
    story.frames(key=token)
    for body in (
        {"kind": "TERMINAL", "server": SERVER, "login": LOGIN, "password": PASSWORD},  # twice
        {"kind": "TERMINAL", "server": SERVER, "login": PASSWORD, "password": PASSWORD},
        {"kind": "TERMINAL", "server": SERVER, "password": PASSWORD},
        {"kind": "TERMINAL", "server": "|", "login": 1, "password": PASSWORD},
        {"kind": "TERMINAL", "server": SERVER, "login": 2, "password": [PASSWORD]},
        {"kind": "TERMINAL", "server": SERVER, "login": 2, "password": PASSWORD * 50},
        {"kind": "SIM", "password": PASSWORD},
    ):
        assert "errors" in story.call("POST", "/accounts", json=body)
    story.call("POST", "/accounts", data=f'{{"password": "{PASSWORD}"')
    story.call("POST", "/accounts", data=f'{{"password": "{PASSWORD}", "password": "{PASSWORD}"}}')
    story.call("PATCH", f"/accounts/{account}", json={"password": PASSWORD, "name": ""})


def test_secrets_show_up_nowhere(story: Story) -> None:
    account, token = link(story)
    misplaced(story, account, token)
    bridge = story.server.addresses.bridge
    options = ("--login", str(LOGIN), "--server", SERVER)
    with TerminalProcess(story.folder / "terminal", bridge, token, *options) as terminal:
        terminal.wait("connected")
        story.call("PATCH", f"/accounts/{account}", json={"password": PASSWORD + "2"})
        story.frames({"action": "subscribe", "account_id": account, "symbols": ["EURUSD"]})
        story.server.kill()  # in the middle of things: nothing is tidied up
        terminal.wait("disconnected")
    wrong = TerminalProcess(
        story.folder / "other", bridge, token[:-1] + "x", *options
    )  # a token that was mistyped is refused by the terminal itself
    with pytest.raises(AssertionError) as refused:
        wrong.start()
    story.answers.append(str(refused.value))
    story.key = str(story.server.start().api_key)
    story.call("GET", "/accounts")
    story.command("keys", "rotate-kek")
    story.command("backup", str(story.folder))
    story.command("verify-journal")
    [kek] = story.server.data.glob("kek*")
    kek.chmod(0o644)
    problem = story.call("PATCH", f"/accounts/{account}", json={"password": PASSWORD})
    assert "chmod 600" in problem["detail"]
    story.command("keys", "rotate-kek")
    kek.chmod(0o600)
    story.call("DELETE", f"/accounts/{account}")
    story.server.stop()
    story.command("account", "list")
    story.check()


def test_a_key_on_the_command_line_is_not_logged(tmp_path: Path) -> None:
    """Not even when the server cannot start."""
    key = mint_secret(lambda count: b"k" * count)
    second = ServerProcess(tmp_path / "data", api_key=key)
    with (
        ServerProcess(tmp_path / "data", api_key=key),
        pytest.raises(AssertionError, match="another server"),
    ):
        second.start()
    assert leaks_under(tmp_path) == []
