"""What the README says is run: every block against a real server, in order of nothing."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fxsocket_server.testkit.process import ServerProcess

from .blocks import KEY, ROOT, Block, blocks_of, masked, run

BLOCKS = blocks_of("README.md", "bash", "python")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """What `make run` serves."""
    data = tmp_path_factory.mktemp("readme") / "data"
    with ServerProcess(data, api_key=KEY) as running:
        yield running


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_runs_and_prints_what_the_page_shows(
    block: Block, demo: ServerProcess, tmp_path: Path
) -> None:
    printed = run(block, demo.addresses, tmp_path)
    if block.prints is not None:
        assert masked(printed) == masked(block.prints)


def test_the_stream_shows_ticks_and_the_order(demo: ServerProcess, tmp_path: Path) -> None:
    (block,) = [block for block in BLOCKS if "subscribe" in block.code]
    assert len(block.code.splitlines()) <= 15
    printed = run(block, demo.addresses, tmp_path)
    assert re.search(r"^(EURUSD|GBPUSD) 1\.\d+ 1\.\d+$", printed, re.MULTILINE)
    assert re.search(r"^order\.pending seq \d+ None$", printed, re.MULTILINE)
    assert re.search(r"^order\.filled seq \d+ 1\.\d+$", printed, re.MULTILINE)


def test_it_opens_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    opening = text.split("```")[1]
    commands = [line.partition("#")[0].split() for line in opening.splitlines()[1:]]
    assert commands == [["make", "run"], ["make", "test"]]
    assert len(text[: text.index("```")].split("\n\n")) == 3  # title, one sentence, the block


@pytest.mark.parametrize("target", ["run", "test", "help"])
def test_the_commands_exist(target: str) -> None:
    """Only looked up, not built: `make -n` prints what it would do."""
    done = subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
