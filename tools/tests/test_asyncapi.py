"""The stream's contract, and that each thing which can be wrong with it is noticed."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

import asyncapi

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def spec() -> asyncapi.Spec:
    """The contract as it is."""
    return asyncapi.load(asyncapi.ROOT / "spec")


def told(spec: asyncapi.Spec, change: Change) -> str:
    """What is said of the contract after a change."""
    documents = deepcopy(spec.documents)
    change(documents["asyncapi.yaml"])
    return "\n".join(asyncapi.problems(asyncapi.Spec(documents)))


def test_the_contract_is_sound(spec: asyncapi.Spec) -> None:
    assert list(asyncapi.problems(spec)) == []
    assert asyncapi.main([]) == 0


def _other_version(document: dict[str, Any]) -> None:
    document["info"]["version"] = "2.0.0"


def _old_form(document: dict[str, Any]) -> None:
    document["asyncapi"] = "2.6.0"


def _lost_reference(document: dict[str, Any]) -> None:
    document["components"]["messages"]["tick"]["payload"]["properties"]["symbol"] = {
        "$ref": "./openapi.yaml#/components/schemas/Nothing"
    }


def _left_over(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["Extra"] = {"type": "object"}


def _not_told(document: dict[str, Any]) -> None:
    document["operations"]["tell"]["messages"].pop(0)


def _bad_schema(document: dict[str, Any]) -> None:
    document["components"]["messages"]["pong"]["payload"]["type"] = "thing"


def _false_example(document: dict[str, Any]) -> None:
    document["components"]["messages"]["ack"]["examples"] = [{"payload": {"action": "ack"}}]


def _other_name(document: dict[str, Any]) -> None:
    document["components"]["messages"]["pong"]["name"] = "ping"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_version, "info.version is 2.0.0"),
        (_old_form, "asyncapi must be 3.0.0"),
        (_lost_reference, "Nothing means nothing"),
        (_left_over, "components.schemas.Extra is left over"),
        (_not_told, "messages.tick: no operation has it"),
        (_bad_schema, "messages.pong: "),
        (_false_example, "'n' is a required property"),
        (_other_name, "its name must be the const"),
    ],
)
def test_what_is_wrong_is_named(spec: asyncapi.Spec, change: Change, words: str) -> None:
    assert words in told(spec, change)


def test_a_closed_contract_takes_nothing_that_it_does_not_say(spec: asyncapi.Spec) -> None:
    frame = {"type": "pong", "id": 1, "more": 1}
    assert spec.validator("pong").is_valid(frame)
    assert not spec.closed().validator("pong").is_valid(frame)
    merged = spec.closed().resolved("#/components/messages/quote/payload")
    assert {"type", "account_id", "bid", "stale"} <= merged["properties"].keys()
