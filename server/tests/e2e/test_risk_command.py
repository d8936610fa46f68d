"""`fxsocket-server risk`: what it sets binds a running server, and one that starts later."""

import subprocess
import sys
from itertools import count
from pathlib import Path

import httpx2
import pytest

from fxsocket_server.testkit.process import ServerProcess

WATCHDOG_S = 30


def risk(data: Path, *words: str) -> tuple[int, str]:
    """Run the command; its exit code and all that it says, on one line."""
    done = subprocess.run(
        [sys.executable, "-m", "fxsocket_server", "risk", *words, "--data", str(data)],
        capture_output=True, text=True, timeout=WATCHDOG_S, check=False,
        env={"COLUMNS": "400", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.returncode, " ".join((done.stdout + done.stderr).split())


_keys = count()


def order(server: ServerProcess, lots: float) -> httpx2.Response:
    """An order under a key of its own: after a kill an equal one without would be a retry."""
    return httpx2.post(
        f"{server.addresses.rest}/orders",
        json={"symbol": "EURUSD", "type": "BUY", "volume": lots},
        headers={"Authorization": "Bearer test-key", "Idempotency-Key": f"risk-{next(_keys)}"},
        timeout=WATCHDOG_S,
    )


def test_a_running_server_takes_rules_and_a_restarted_one_keeps_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        account = str(server.addresses.account_id)
        assert order(server, 0.02).status_code == 200
        code, said = risk(data, "set", "--account", account, "max_order_volume=0.01")
        assert (code, said) == (0, f"account {account}: max_order_volume=0.01")
        while (answer := order(server, 0.02)).status_code == 200:
            continue  # bounded by the second that the server may take, and the test's watchdog
        assert answer.json()["code"] == "risk_limit"
        assert order(server, 0.01).status_code == 200
        assert risk(data, "set", "--account", account, "reduce_only=true")[0] == 0
        server.kill()
        server.start()
        assert order(server, 0.01).json()["detail"].startswith("reduce_only:")
        assert risk(data, "show")[1] == f"account {account}: max_order_volume=0.01 reduce_only=true"
        assert risk(data, "clear", "--account", account, "reduce_only")[0] == 0
        while order(server, 0.01).status_code != 200:
            continue  # as above
        assert risk(data, "clear", "--account", account)[1] == f"account {account}: -"
        assert risk(data, "show")[1] == "no rules"


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("set", "--account", "acc_none", "reduce_only=true"), "there are: acc_"),
        (("set", "--key", "key_none", "reduce_only=true"), "(demo)"),
        (("set", "reduce_only=true"), "name one of --account and --key"),
        (("set", "--account", "ACCOUNT", "reduce_only"), "write RULE=VALUE"),
        (("set", "--account", "ACCOUNT", "max_daily_loss=lots"), "give a number above 0"),
        (("set", "--account", "ACCOUNT", "max_loss=5"), "is no rule; there are max_order_volume"),
        (("clear", "--account", "ACCOUNT", "hours"), "is not set here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_set_names_the_fix(
    server: ServerProcess, words: tuple[str, ...], fix: str
) -> None:
    account = str(server.addresses.account_id)
    named = [account if word == "ACCOUNT" else word for word in words]
    code, said = risk(server.data, *named)
    assert code == 2
    assert fix in said
    assert risk(server.data, "show")[1] == "no rules"


def test_a_folder_without_a_server_is_told(tmp_path: Path) -> None:
    code, said = risk(tmp_path, "show")
    assert code == 2
    assert "holds no app.db" in said
