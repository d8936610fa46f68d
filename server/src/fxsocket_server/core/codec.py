"""Strict JSON in, JSON out.

Bodies are decoded once by msgspec. A body that repeats a key, or that msgspec refuses, is read
again slowly so that the answer can name the field.
"""

import json
from typing import Any, NoReturn, TypeVar

import msgspec

from fxsocket_server.core import limits
from fxsocket_server.core.errors import FieldError, Problem

T = TypeVar("T")

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _NotJson:
    """Stands for a literal that JSON does not have (NaN, Infinity)."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Duplicate(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise _Duplicate(key)
        seen[key] = value
    return seen


def decode_object(body: bytes) -> dict[str, Any]:
    """Decode a JSON object whose keys are unique.

    Raises Problem: `malformed_json` (400) when it is not JSON, `validation_error` (422) when it is
    JSON but no object, repeats a key or holds a number out of range.
    """
    try:
        value = _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        _explain(body)
    if type(value) is not dict:
        raise Problem("validation_error", "the body must be a JSON object {...}", pointer="/")
    # One colon per pair: as many colons as keys proves that no key came twice.
    if body.count(b":") != len(value):
        _refuse_duplicates(body)
    return value


def _refuse_duplicates(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_pairs)
    except _Duplicate as found:
        raise Problem(
            "validation_error",
            f"key {found.key!r} stands twice; send it once",
            pointer="/" + found.key,
        ) from None
    except RecursionError:
        _too_deep()


def _too_deep() -> NoReturn:
    raise Problem("malformed_json", f"the body nests deeper than {limits.JSON_DEPTH} levels")


def _explain(body: bytes) -> NoReturn:
    """Say what is wrong with a body that the fast decoder refused."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem("malformed_json", f"the body is not UTF-8 (byte {error.start})") from None
    if not text.strip():
        raise Problem("malformed_json", "the body is empty; send a JSON object")
    try:
        value = json.loads(text, parse_constant=_NotJson)
    except RecursionError:
        _too_deep()
    except ValueError as error:
        raise Problem("malformed_json", f"the body is not JSON: {error}") from None
    _name_bad_field(value, "")
    raise Problem("malformed_json", "the body is not JSON that this server can read")


def _name_bad_field(value: Any, pointer: str, depth: int = 0) -> None:
    """Raise for the first literal or number that JSON or a double cannot hold."""
    if depth > limits.JSON_DEPTH:
        _too_deep()
    if isinstance(value, _NotJson):
        detail = f"{value.text} is not JSON; send a finite number or null"
        raise Problem("malformed_json", detail, pointer=pointer or "/")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise Problem(
            "validation_error",
            "the number is out of range; send a finite number",
            pointer=pointer or "/",
        )
    if isinstance(value, dict):
        for key, item in value.items():
            _name_bad_field(item, f"{pointer}/{key}", depth + 1)
    if isinstance(value, list):
        for index, item in enumerate(value):
            _name_bad_field(item, f"{pointer}/{index}", depth + 1)


def convert(value: Any, into: type[T]) -> T:
    """Convert decoded JSON into a Struct; a misfit raises 422 `validation_error` on its field."""
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        raise _field_problem(str(error), into) from None


def _field_problem(message: str, into: type[Any]) -> Problem:
    text, _, path = message.partition(" - at `$")
    pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
    for opening in ("Object missing required field `", "Object contains unknown field `"):
        if text.startswith(opening):
            pointer += "/" + text.removeprefix(opening).rstrip("`")
    if "unknown field" in text:
        text += f"; known are {', '.join(f.encode_name for f in msgspec.structs.fields(into))}"
    return Problem(
        "validation_error",
        f"{pointer.removeprefix('/') or 'body'}: {text}",
        errors=(FieldError(pointer or "/", text),),
    )
