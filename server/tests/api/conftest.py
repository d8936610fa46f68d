"""What the tests of the API share: the contract, a still world, and clients that judge answers."""

from collections.abc import Callable, Iterator

import pytest

from .client import Api
from .contract import Contract
from .world import World


@pytest.fixture(scope="session")
def contract() -> Contract:
    """spec/openapi.yaml, read once."""
    return Contract()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server whose market and clock stand still, for the tests of one module."""
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()
    assert world.failures == []


@pytest.fixture
def connect(world: World, contract: Contract) -> Iterator[Callable[..., Api]]:
    """`connect(secret, **headers)` is a client of that key."""
    clients = []

    def make(secret: str | None, **headers: str) -> Api:
        clients.append(Api(world.root, secret, contract, **headers))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def account(world: World) -> str:
    """An account of this test's own, with 10,000 USD."""
    return world.add_account()


@pytest.fixture
def api(world: World, connect: Callable[..., Api], account: str) -> Api:
    """A client with a full key of `account`; prices start where `world.PRICES` has them."""
    return connect(world.add_key(accounts=(account,)))
