"""Strict JSON: what is read, what is refused, and which field a refusal names."""

import json
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.core.codec import convert, decode_object, encode
from fxsocket_server.core.errors import Problem


class Colour(StrEnum):
    RED = "RED"
    GREEN = "GREEN"


class Inner(Struct, forbid_unknown_fields=True):
    number: int = 0


class Thing(Struct, forbid_unknown_fields=True):
    name: str
    colour: Colour | None = None
    inner: Inner | None = None
    rows: list[Inner] = []


def refusal(body: bytes) -> tuple[str, list[str]]:
    with pytest.raises(Problem) as caught:
        decode_object(body)
    return caught.value.kind.code, [error.pointer for error in caught.value.errors]


def problem_of(body: bytes) -> Problem | None:
    try:
        assert type(decode_object(body)) is dict
    except Problem as problem:
        return problem
    return None


def misfit(value: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        convert(value, Thing)
    assert caught.value.kind.code == "validation_error"
    return caught.value


# --- decode ----------------------------------------------------------------------------------

_texts = st.text(max_size=8)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(_texts, _values, max_size=5), st.booleans())
def test_any_object_is_read_as_it_was_written(value: dict[str, Any], spaced: bool) -> None:
    separators = (" , ", " : ") if spaced else (",", ":")
    body = json.dumps(value, separators=separators).encode()
    assert decode_object(body) == json.loads(body)


@given(st.dictionaries(_texts, _values, min_size=1, max_size=4), st.data())
def test_a_repeated_key_is_always_found(value: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    again = json.dumps({key: data.draw(_values)}, ensure_ascii=data.draw(st.booleans()))
    body = json.dumps(value)[:-1] + "," + again[1:]
    code, [pointer] = refusal(body.encode())
    assert code == "validation_error"
    assert pointer == "/" + key.replace("~", "~0").replace("/", "~1")


@given(st.binary(max_size=40))
def test_no_bytes_make_it_stumble(body: bytes) -> None:
    problem = problem_of(body)
    if problem is not None:
        assert problem.kind.status in (400, 422)
        assert encode((problem.detail, problem.errors))


@pytest.mark.parametrize(
    ("body", "code", "pointers"),
    [
        (b"", "malformed_json", []),
        (b"{", "malformed_json", []),
        (b"\xff", "malformed_json", []),
        (b"[]", "validation_error", ["/"]),
        (b'{"a":NaN}', "malformed_json", ["/a"]),
        (b'{"a":{"b":[1,-Infinity]}}', "malformed_json", ["/a/b/1"]),
        (b'{"a":[1e999]}', "validation_error", ["/a/0"]),
        (b'{"a":"\\ud834"}', "malformed_json", ["/a"]),
        (b'{"a":1,"a":1}', "validation_error", ["/a"]),
        (b'{"x":{"a":1,"\\u0061":1}}', "validation_error", ["/a"]),
        (b'{"a/b":1,"a/b":1}', "validation_error", ["/a~1b"]),
        (b'{"n":' + b"1" * 5_000 + b"}", "malformed_json", []),
        (b"[" * 100_000, "malformed_json", []),
        (b'{"a":' * 50 + b"NaN" + b"}" * 50, "malformed_json", []),
    ],
)
def test_a_refusal_names_the_field(body: bytes, code: str, pointers: list[str]) -> None:
    assert refusal(body) == (code, pointers)


def test_a_colon_in_a_text_is_no_second_key() -> None:
    assert decode_object(b'{"at":"2026-01-05T00:00:00Z","b":{"c":1}}')["b"] == {"c": 1}


# --- convert ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "pointer", "words"),
    [
        ({}, "/name", "missing required field 'name'"),
        ({"name": 5}, "/name", "must be text, not a whole number"),
        ({"name": "a", "colour": "red"}, "/colour", "Invalid enum value 'red'; one of RED GREEN"),
        ({"name": "a", "size": 1}, "/size", "unknown field 'size'; known are name, colour, inner"),
        (
            {"name": "a", "inner": {"number": "1"}},
            "/inner/number",
            "must be a whole number, not text",
        ),
        ({"name": "a", "inner": {"x": 1}}, "/inner/x", "unknown field 'x'"),
        ({"name": "a", "rows": [{}, {"number": None}]}, "/rows/1/number", "must be a whole number"),
        ({"name": "a", "a/b~": 1}, "/a~1b~0", "unknown field 'a/b~'"),
    ],
)
def test_a_misfit_names_its_field_and_the_fix(value: Any, pointer: str, words: str) -> None:
    problem = misfit(value)
    [error] = problem.errors
    assert error.pointer == pointer
    assert words in error.message
    assert words in problem.detail


def test_an_answer_repeats_only_the_beginning_of_what_was_sent() -> None:
    for value in ({"name": "a", "k" * 10_000: 1}, {"name": "a", "colour": "c" * 10_000}):
        problem = misfit(value)
        assert len(msgspec.json.encode((problem.detail, problem.errors))) < 1_000


def test_a_fitting_object_becomes_the_struct() -> None:
    thing = convert({"name": "a", "colour": "GREEN", "inner": {"number": 3}}, Thing)
    assert thing == Thing("a", Colour.GREEN, Inner(3))


def nested(levels: int, opening: bytes, closing: bytes) -> bytes:
    """An object that holds so many levels in all."""
    inside = levels - 1
    return b'{"a":' + opening * inside + b"1" + closing * inside + b"}"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("levels", [limits.JSON_DEPTH + 1, 500, 100_000 // 6])
def test_a_body_nests_no_deeper_than_the_limit(opening: bytes, closing: bytes, levels: int) -> None:
    assert decode_object(nested(limits.JSON_DEPTH, opening, closing))
    with pytest.raises(Problem, match=f"deeper than {limits.JSON_DEPTH} levels") as caught:
        decode_object(nested(levels, opening, closing))
    assert caught.value.kind.code == "malformed_json"


def test_brackets_in_texts_and_side_by_side_are_no_depth() -> None:
    assert decode_object(b'{"a":"' + b"[{" * 100 + b'"}')
    assert decode_object(b'{"a":[' + b",".join([b"[]"] * 100) + b"]}")
