"""Strict JSON in, JSON out.

Bodies are decoded once by msgspec. A body that repeats a key, or that msgspec refuses, is read
again slowly so that the answer can name the field.
"""

import json
import re
from enum import EnumType
from typing import Any, NoReturn, TypeVar, get_args, get_type_hints

import msgspec

from fxsocket_server.core import limits
from fxsocket_server.core.errors import FieldError, Problem
from fxsocket_server.core.secret import Secret, secret_of

T = TypeVar("T")

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_NAMED_FIELD = re.compile(
    r"Object (?:contains )?(unknown|missing required) field `(.*)`\Z", re.DOTALL
)
_EXPECTED = re.compile(r"Expected `([^`]+)`(.*?)(?:, got `([^`]+)`)?", re.DOTALL)
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
_KEY_CHARS = 64  # of a client's key that an answer repeats
_TEXT_CHARS = 96  # of a message that repeats a client's value


class _NotJson:
    """Stands for a literal that JSON does not have (NaN, Infinity)."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Duplicate(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _shown(key: str) -> str:
    """A client's key as it may stand in an answer: short, and never half a surrogate pair."""
    return key[:_KEY_CHARS].encode("utf-8", "replace").decode()


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _step(key: str) -> str:
    """A key as a step of a JSON pointer."""
    return "/" + _shown(key).replace("~", "~0").replace("/", "~1")


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
    if body.count(b"[") + body.count(b"{") > limits.JSON_DEPTH:  # fewer cannot nest deeper
        _check_depth(value)
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
            f"key {_shown(found.key)!r} stands twice; send it once",
            pointer=_step(found.key),
        ) from None
    except RecursionError:
        _too_deep()


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(limits.JSON_DEPTH):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return
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
    except json.JSONDecodeError as error:
        raise Problem("malformed_json", f"the body is not JSON: {error}") from None
    except ValueError:
        raise Problem("malformed_json", "a number in the body has too many digits") from None
    _name_bad_field(value, "")
    raise Problem("malformed_json", "the body is not JSON that this server can read")


def _name_bad_field(value: Any, pointer: str, depth: int = 0) -> None:
    """Raise for the first literal, number or text that JSON, a double or UTF-8 cannot hold."""
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
    if isinstance(value, str) and not _is_text(value):
        detail = "the text holds half of a surrogate pair; send whole characters"
        raise Problem("malformed_json", detail, pointer=pointer or "/")
    if isinstance(value, dict):
        for key, item in value.items():
            _name_bad_field(item, pointer + _step(key), depth + 1)
    if isinstance(value, list):
        for index, item in enumerate(value):
            _name_bad_field(item, f"{pointer}/{index}", depth + 1)


def convert(value: Any, into: type[T], *, from_text: bool = False) -> T:
    """Convert decoded JSON into a Struct; a misfit raises 422 `validation_error` on its field.

    `from_text` takes numbers, true, false and null as text, too: what a command line has.
    """
    try:
        return msgspec.convert(value, into, strict=not from_text, dec_hook=_own_type)
    except msgspec.ValidationError as error:
        raise _field_problem(str(error), into) from None


def _own_type(kind: type[Any], value: Any) -> Any:
    if kind is Secret:
        return secret_of(value)
    raise NotImplementedError(kind)


def _field_problem(message: str, into: type[Any]) -> Problem:
    text, _, path = message.partition(" - at `$")
    pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
    named = _NAMED_FIELD.match(text)
    if named is not None:
        pointer += _step(named[2])
        text = f"{named[1]} field {_shown(named[2])!r}"
        if named[1] == "unknown":
            text += f"; known are {', '.join(f.encode_name for f in msgspec.structs.fields(into))}"
    elif text.startswith("Invalid enum value"):
        text = text[:_TEXT_CHARS] + _choices(into, pointer.removeprefix("/"))
    else:
        text = _in_words(text)
    return Problem(
        "validation_error",
        f"{pointer.removeprefix('/') or 'body'}: {text}",
        errors=(FieldError(pointer or "/", text),),
    )


def _in_words(text: str) -> str:
    """msgspec's "Expected `int | null`, got `str`" as people say it."""
    told = _EXPECTED.fullmatch(text)
    if told is None:
        return text
    wanted = " or ".join(_WORDS.get(name, name) for name in told[1].split(" | "))
    found = "" if told[3] is None else f", not {_WORDS.get(told[3], told[3])}"
    return f"must be {wanted}{told[2]}{found}"


def _choices(into: type[Any], field: str) -> str:
    """The values of the enumeration that a field takes."""
    hint = get_type_hints(into).get(field)
    enums = [kind for kind in (*get_args(hint), hint) if isinstance(kind, EnumType)]
    return "".join(f"; one of {' '.join(kind.__members__)}" for kind in enums)
