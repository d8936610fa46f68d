"""Tutorials, how-to guides and reference pages: their blocks run too."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import fxsocket_server
from fxsocket_server.testkit.process import ServerProcess

from .blocks import KEY, ROOT, WATCHDOG_S, Block, blocks_of, masked, run

TICKS = Path(fxsocket_server.__file__).parent / "storage/history/data"
DAY = TICKS / "darwinex_ticks_WS30_2018-10-01.csv.gz"

Serve = Callable[[Path], AbstractContextManager[ServerProcess]]


def demo(folder: Path) -> ServerProcess:
    """What `make run` serves."""
    return ServerProcess(folder / "data", api_key=KEY)


def requoting(folder: Path) -> ServerProcess:
    """A broker that requotes."""
    return ServerProcess(folder / "data", "--profile", "instant", api_key=KEY)


def replay(folder: Path) -> ServerProcess:
    """The day of ticks that ships with the server."""
    return ServerProcess(folder / "data", "--replay", str(DAY), "--speed", "max", api_key=KEY)


@contextmanager
def tls(folder: Path) -> Iterator[ServerProcess]:
    """A server with the certificate that the page's first block makes."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    making = blocks_of("docs/how-to/run-behind-tls.md", "sh")[0]
    subprocess.run(
        ["sh", "-e", "-c", making.code],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=WATCHDOG_S,
    )
    files = ("--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem"))
    with ServerProcess(folder / "data", *files, api_key=KEY) as running:
        yield running


# Which server each page talks about. A recording reads the same every time, a live market does not.
PAGES: dict[str, Serve] = {
    "docs/how-to/chaos-sandbox.md": demo,
    "docs/how-to/check-batch-and-close.md": demo,
    "docs/how-to/clone-your-broker.md": demo,
    "docs/how-to/manage-keys.md": demo,
    "docs/how-to/replay-recorded-ticks.md": replay,
    "docs/how-to/run-behind-tls.md": tls,
    "docs/how-to/several-accounts.md": demo,
    "docs/how-to/stream-in-python.md": demo,
    "docs/how-to/test-against-refusals.md": requoting,
    "docs/how-to/write-a-bot-that-paces.md": replay,
    "docs/reference/events.md": demo,
    "docs/tutorials/first-bot.md": demo,
}
BLOCKS = [block for page in PAGES for block in blocks_of(page, "bash", "python")]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_runs_and_prints_what_the_page_shows(block: Block, tmp_path: Path) -> None:
    serve = PAGES[block.page]
    with serve(tmp_path) as server:
        printed = run(block, server.addresses, tmp_path)
    if block.prints is None:
        return
    if serve is replay:
        assert printed.split() == block.prints.split()
    else:
        assert masked(printed) == masked(block.prints)


def test_every_page_with_code_is_run() -> None:
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")}
    with_code = {page for page in pages if blocks_of(page, "bash", "python")}
    assert with_code == set(PAGES)
