"""schemathesis holds a real server against spec/openapi.yaml: every phase, every default check."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from fxsocket_server.testkit.process import ServerProcess

from ..api.contract import Contract

ROOT = Path(__file__).resolve().parents[3]
CONFIG = Path(__file__).with_name("schemathesis.toml")
WATCHDOG_S = 30
PHASES = ("Examples", "Coverage", "Fuzzing", "Stateful")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A demo server of a test's own, whose plan is soon full."""
    options = ("--seed", "7", "--balance", "1000000", "--account-limit", "10")
    with ServerProcess(tmp_path / "data", *options) as running:
        yield running


def spare(server: ServerProcess, path: str, **body: str) -> str:
    """The id of something that may be changed and removed."""
    made = requests.post(
        server.addresses.rest + path,
        json=body,
        headers={"Authorization": "Bearer test-key"},
        timeout=WATCHDOG_S,
    )
    return str(made.json()["id"])


def fuzz(server: ServerProcess, folder: Path, examples: int, seed: int) -> str:
    """What schemathesis says of a server; its requests are those of the seed."""
    root = server.addresses.rest.removesuffix("/v1")
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG),
        "run", root + "/openapi.yaml", "--seed", str(seed), "--max-examples", str(examples),
        "--no-color", "--request-timeout", "60",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "CONTRACT_FUZZ_ACCOUNT": server.addresses.account_id or "",
        "CONTRACT_FUZZ_SPARE": spare(server, "/accounts", kind="SIM"),
        "CONTRACT_FUZZ_SPARE_KEY": spare(server, "/keys", name="spare", scope="read"),
        "CONTRACT_FUZZ_KEY": "test-key",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-20_000:]
    return said


def holds(server: ServerProcess, folder: Path, examples: int, seed: int = 1) -> None:
    """No failure, of every operation, in every phase."""
    said = fuzz(server, folder, examples, seed)
    count = len(Contract().operations)
    assert f"Selected: {count}/{count}" in said, said
    assert f"Tested: {count}" in said, said
    assert all(f"✅ {phase}" in said for phase in PHASES), said
    tried = re.search(r"(\d+) generated, (\d+) passed", said)
    assert tried is not None, said
    assert int(tried[2]) == int(tried[1]) >= 20 * count
    assert server.running


# One seed for good here; the soak takes its own from the base seed.
@pytest.mark.timeout(1_200)
def test_the_server_keeps_the_contract(server: ServerProcess, tmp_path: Path) -> None:
    holds(server, tmp_path, examples=6)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_the_server_keeps_the_contract_for_long(
    server: ServerProcess, tmp_path: Path, seed: int
) -> None:
    holds(server, tmp_path, examples=200, seed=seed % 2**32)
