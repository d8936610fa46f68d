"""The import contracts of pyproject.toml, run on a skeleton: kept when clean, each one bites."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
SERVER = "server/src/fxsocket_server"
SETTINGS = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["importlinter"]

CLEAN = {
    f"{SERVER}/__init__.py": "",
    f"{SERVER}/__main__.py": "import fxsocket_server.cli",
    f"{SERVER}/api/__init__.py": "import starlette, uvicorn, fxsocket_server.gateway.ports",
    f"{SERVER}/bootstrap.py": "import secrets, fxsocket_server.api, fxsocket_server.settings",
    f"{SERVER}/broker/__init__.py": "import fxsocket_server.model",
    f"{SERVER}/channels/__init__.py": "import collections",
    f"{SERVER}/cli/__init__.py": "import rich, typer, fxsocket_server.bootstrap",
    f"{SERVER}/connectors/__init__.py": "import asyncio, fxsocket_server.broker",
    f"{SERVER}/core/__init__.py": "import time",
    f"{SERVER}/fxb/__init__.py": "import fxsocket_server.model",
    f"{SERVER}/gateway/__init__.py": "",
    f"{SERVER}/gateway/ports.py": "import asyncio, fxsocket_server.model",
    f"{SERVER}/model/__init__.py": "import fxsocket_server.core",
    f"{SERVER}/security/__init__.py": "import hmac, secrets",
    f"{SERVER}/settings.py": "import os",
    f"{SERVER}/storage/__init__.py": "import alembic, sqlalchemy, sqlite3",
    f"{SERVER}/stream/__init__.py": "import picows, fxsocket_server.gateway.ports",
    "sdk/python/src/fxsocket/__init__.py": "import httpx2, websockets",
}

# contract, file, the import that breaks it
BITES = [
    ("layers", "api/__init__.py", "import fxsocket_server.storage"),
    ("layers", "utils.py", ""),
    ("pure", "core/__init__.py", "import asyncio"),
    ("injected", "broker/__init__.py", "import random"),
    ("web-door", "stream/__init__.py", "import starlette"),
    ("socket-door", "api/__init__.py", "import picows"),
    ("sql-door", "connectors/__init__.py", "import sqlite3"),
    ("crypto-door", "gateway/__init__.py", "import hmac"),
    ("terminal-door", "stream/__init__.py", "import rich"),
    ("two-distributions", "connectors/__init__.py", "import fxsocket"),
    ("no-cycles", "gateway/ports.py", "import fxsocket_server.gateway.b.leaf"),
]


@pytest.fixture
def skeleton(tmp_path):
    """A tree of the real shape under the real settings; every package imports what it may."""
    shutil.copy(REPO / "pyproject.toml", tmp_path)
    cycle = {
        f"{SERVER}/gateway/b/__init__.py": "",
        f"{SERVER}/gateway/b/leaf.py": "import fxsocket_server.gateway.ports",
    }
    for path, line in (CLEAN | cycle).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{line}\n")
    return tmp_path


def lint(root, contract=""):
    """Run the contracts on that tree alone: (exit code, what was printed)."""
    paths = [str(root / "server/src"), str(root / "sdk/python/src")]
    program = Path(sys.executable).parent / "lint-imports"
    chosen = ["--contract", contract] if contract else []
    done = subprocess.run(
        [program, "--no-cache", "--no-logo", *chosen],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_clean_skeleton_keeps_every_contract(skeleton):
    code, printed = lint(skeleton)
    assert f"Contracts: {len(SETTINGS['contracts'])} kept, 0 broken." in printed
    assert code == 0


def test_every_contract_has_a_bite():
    assert {contract["id"] for contract in SETTINGS["contracts"]} == {bite[0] for bite in BITES}


@pytest.mark.parametrize(("contract", "path", "line"), BITES)
def test_contract_bites(skeleton, contract, path, line):
    with (skeleton / SERVER / path).open("a") as module:
        module.write(f"{line}\n")
    code, printed = lint(skeleton, contract)
    assert "Contracts: 0 kept, 1 broken." in printed
    assert code == 1
