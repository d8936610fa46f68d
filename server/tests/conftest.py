"""What the server's tests share: a real server in its own process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fxsocket_server.testkit.leaks import leaks_under
from fxsocket_server.testkit.process import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A demo server for the tests of one module; its API key is `test-key`."""
    folder: Path = tmp_path_factory.mktemp("server")
    with ServerProcess(folder / "data", "--seed", "7", "--balance", "1000000") as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def nothing_secret_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever the tests of this run leave on disk is searched for secrets at the end."""
    yield
    assert leaks_under(tmp_path_factory.getbasetemp()) == []
