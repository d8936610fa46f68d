"""What a client is told is not what it may set: every field of the contract in every body."""

from collections.abc import Iterator
from typing import Any

import pytest

from fxsocket_server.api.app import API_ROUTES
from fxsocket_server.api.operation import Operation

from .client import Api
from .contract import Contract
from .test_isolation import BODIES, Cast, body_kind
from .world import World

CONTRACT = Contract()
SOUND = {"AccountRequest": {"kind": "SIM"}}  # elsewhere one that is refused whatever it says
WITH_BODY = [op for op in API_ROUTES if body_kind(CONTRACT, op) is not None]


@pytest.fixture(scope="module")
def cast(world: World, contract: Contract) -> Iterator[Cast]:
    cast = Cast(world, contract)
    yield cast
    cast.close()


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda op: op.name)
def test_a_field_that_a_body_does_not_have_is_refused_by_name(
    operation: Operation, cast: Cast
) -> None:
    kind = body_kind(CONTRACT, operation)
    assert kind is not None
    own = set(CONTRACT.schemas[kind]["properties"])
    sound: dict[str, Any] = SOUND.get(kind) or BODIES[kind](cast.own)
    path = cast.path_of(operation, cast.own)
    api: Api = cast.apis["full"]
    for word in sorted(set(CONTRACT.words) - own):
        problem = api.refused(
            "validation_error", operation.method, path, json={**sound, word: "planted"}
        )
        assert problem["errors"][0]["pointer"] == "/" + word, problem
