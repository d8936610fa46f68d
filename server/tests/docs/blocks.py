"""Code blocks of the Markdown pages, run as a reader would run them.

Blocks marked `bash` and `python` are run; only the addresses and the key are replaced. A `text`
block right after one is what it prints. Blocks marked `sh` install or serve and are not run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fxsocket_server.bootstrap import Addresses

ROOT = Path(__file__).parents[3]
KEY = "docs-key"
WATCHDOG_S = 60

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Block:
    """One fenced block; `prints` is the output that the page shows for it, if any."""

    page: str
    line: int
    language: str
    code: str
    prints: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str, *languages: str) -> list[Block]:
    """The blocks of a page in these languages."""
    text = (ROOT / page).read_text()
    fences = [fence for fence in _FENCE.finditer(text) if fence[1] in languages]
    return [_block(page, text, fence) for fence in fences]


def _block(page: str, text: str, fence: re.Match[str]) -> Block:
    output = _FENCE.match(text[fence.end() :].lstrip())
    prints = output[2] if output and output[1] == "text" else None
    return Block(page, text.count("\n", 0, fence.start()) + 1, fence[1], fence[2], prints)


def inline_code(page: str) -> list[str]:
    """What a page marks as code inside its sentences and tables."""
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", (ROOT / page).read_text()))


def run(block: Block, at: Addresses, folder: Path) -> str:
    """Run a block in a folder against a server; what it printed. A bash block must print JSON."""
    if "curl" in block.code and shutil.which("curl") is None:
        pytest.skip("needs curl")
    shell = ["sh", "-e", "-c"] if block.language == "bash" else [sys.executable, "-c"]
    done = subprocess.run(
        [*shell, _with_addresses(block.code, at)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WATCHDOG_S,
        env=_environment(at, folder),
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    if block.language == "bash" and done.stdout:
        assert "detail" not in json.loads(done.stdout), f"{block}\n{done.stdout}"
    return done.stdout


def _with_addresses(code: str, at: Addresses) -> str:
    rest, stream = re.findall(r"//([^/]+)/", at.rest + at.stream)
    return (
        code.replace("127.0.0.1:8000", rest)
        .replace("127.0.0.1:8001", stream)
        .replace("fxs_test_...", KEY)
    )


def _environment(at: Addresses, folder: Path) -> dict[str, str]:
    """A reader's shell: the key and the addresses, and the certificate that they made."""
    certificate = folder / "cert.pem"
    trust = {"SSL_CERT_FILE": str(certificate)} if certificate.exists() else {}
    return {
        **os.environ,
        "FXSOCKET_API_KEY": KEY,
        "FXSOCKET_BASE_URL": at.rest,
        "FXSOCKET_STREAM_URL": at.stream,
        **trust,
    }


def masked(output: str) -> list[str]:
    """Lines with every number as `N`: prices move between two readings."""
    return [_NUMBER.sub("N", line).rstrip() for line in output.strip().splitlines()]
