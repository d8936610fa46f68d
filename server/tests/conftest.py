"""What the server's tests share: a real server in its own process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fxsocket_server.testkit.process import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A demo server for the tests of one module; its API key is `test-key`."""
    folder: Path = tmp_path_factory.mktemp("server")
    with ServerProcess(folder / "data", "--seed", "7", "--balance", "1000000") as running:
        yield running
