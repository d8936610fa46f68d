"""Checks spec/asyncapi.yaml: AsyncAPI 3 with true references, sound schemas and true examples.

Every message must be sent or received by an operation, and no schema may be left over. The tests of
the stream use this module too, to hold frames against the messages.
"""

import argparse
import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
FILES = ("asyncapi.yaml", "openapi.yaml")
OWN = FILES[0]
VERSION = "3.0.0"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
KINDS = ("type", "action")  # what names a frame: the server's or the client's


class Spec:
    """The contract of the stream, with that of REST beside it."""

    def __init__(self, documents: dict[str, Json]) -> None:
        self.documents = documents
        self.document = documents[OWN]
        self.components: Json = self.document.get("components", {})
        self.messages: dict[str, Json] = self.components.get("messages", {})

    @cached_property
    def registry(self) -> Registry[Any]:
        """Both documents, as references find them."""
        resources = {
            name: DRAFT202012.create_resource(document) for name, document in self.documents.items()
        }
        return Registry().with_resources(resources.items())

    def closed(self) -> "Spec":
        """The same, with objects that take no member but their own: what a server may say."""
        documents = deepcopy(self.documents)
        for name in documents:
            _merge_parts(documents, name, documents[name])
        for schema in _objects(documents):
            schema.setdefault("additionalProperties", False)
            if schema["additionalProperties"] is True:
                schema["additionalProperties"] = False
        return Spec(documents)

    def resolved(self, reference: str, base: str = OWN) -> Any:
        """What a reference means; raises Unresolvable."""
        return self.registry.resolver(base).lookup(reference).contents

    def validator(self, name: str) -> Draft202012Validator:
        """What judges the frames of a message."""
        pointer = f"{OWN}#/components/messages/{name}/payload"
        return Draft202012Validator({"$ref": pointer}, registry=self.registry)

    def kind(self, name: str) -> tuple[str, str]:
        """Such as ("type", "tick"): what names a frame of this message."""
        payload = self.messages[name]["payload"]
        for part in (payload, *payload.get("allOf", ())):
            for key in KINDS:
                value = part.get("properties", {}).get(key, {}).get("const")
                if value is not None:
                    return key, value
        return "", ""

    def named(self, key: str, value: str) -> list[str]:
        """The messages whose frames have this name."""
        return [name for name in self.messages if self.kind(name) == (key, value)]


def load(folder: Path) -> Spec:
    """Read both documents."""
    return Spec({name: yaml.load((folder / name).read_text(), LOADER) for name in FILES})


def _merge_parts(documents: dict[str, Json], base: str, node: Any) -> None:
    """Turn objects made of parts (`allOf`) into one, so that they can be closed."""
    if isinstance(node, list):
        for item in node:
            _merge_parts(documents, base, item)
    if not isinstance(node, dict):
        return
    if "allOf" in node:
        parts = [_target(documents, base, part) for part in node.pop("allOf")]
        if not all("properties" in part for part in parts):
            node["allOf"] = parts
            return
        node["type"] = "object"
        node["required"] = [name for part in parts for name in part.get("required", ())]
        node["properties"] = {
            key: value for part in parts for key, value in part["properties"].items()
        }
    for value in node.values():
        _merge_parts(documents, base, value)


def _target(documents: dict[str, Json], base: str, part: Json) -> Json:
    """A part itself, or a copy of what it refers to with references that hold from anywhere."""
    if "$ref" not in part:
        return part
    file, _, pointer = part["$ref"].partition("#")
    file = file.removeprefix("./") or base
    target: Any = documents[file]
    for step in pointer.strip("/").split("/"):
        target = target[step]
    target = deepcopy(target)
    _merge_parts(documents, file, target)
    _root_references(target, file)
    return target  # type: ignore[no-any-return]


def _root_references(node: Any, file: str) -> None:
    if isinstance(node, list):
        for item in node:
            _root_references(item, file)
    if isinstance(node, dict):
        if str(node.get("$ref", "")).startswith("#"):
            node["$ref"] = file + node["$ref"]
        for value in node.values():
            _root_references(value, file)


def _objects(node: Any) -> Iterator[Json]:
    """Every schema with properties."""
    if isinstance(node, list):
        for item in node:
            yield from _objects(item)
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node
        for value in node.values():
            yield from _objects(value)


# --- what can be wrong ---------------------------------------------------------------------------


def problems(spec: Spec) -> Iterator[str]:
    """Everything that is wrong with the document."""
    yield from _head_problems(spec)
    yield from _reference_problems(spec)
    yield from _operation_problems(spec)
    for name, message in spec.messages.items():
        yield from _message_problems(spec, name, message)


def _head_problems(spec: Spec) -> Iterator[str]:
    if spec.document.get("asyncapi") != VERSION:
        yield f"asyncapi must be {VERSION}"
    for member in ("info", "servers", "channels", "operations", "components"):
        if not isinstance(spec.document.get(member), dict):
            yield f"{member} is missing"
    versions = [document.get("info", {}).get("version") for document in spec.documents.values()]
    if len(set(versions)) != 1:
        yield f"info.version is {versions[0]}, that of openapi.yaml {versions[1]}"


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)


def _reference_problems(spec: Spec) -> Iterator[str]:
    used = set(_references(spec.document))
    for reference in sorted(used):
        try:
            spec.resolved(reference)
        except Unresolvable:
            yield f"{reference} means nothing"
    for section in ("messages", "schemas"):
        for name in spec.components.get(section, {}):
            if f"#/components/{section}/{name}" not in used:
                yield f"components.{section}.{name} is left over"


def _operation_problems(spec: Spec) -> Iterator[str]:
    told: set[str] = set()
    for name, operation in spec.document.get("operations", {}).items():
        if operation.get("action") not in ("send", "receive"):
            yield f"operations.{name}: action must be send or receive"
        told.update(_references(operation.get("messages", ())))
        told.update(_references(operation.get("reply", {}).get("messages", ())))
    for channel, body in spec.document.get("channels", {}).items():
        for name in body.get("messages", {}):
            if f"#/channels/{channel}/messages/{name}" not in told:
                yield f"channels.{channel}.messages.{name}: no operation has it"


def _message_problems(spec: Spec, name: str, message: Json) -> Iterator[str]:
    where = f"messages.{name}"
    if not message.get("summary"):
        yield f"{where}: has no summary"
    try:
        Draft202012Validator.check_schema(message["payload"])
    except SchemaError as wrong:
        yield f"{where}: {wrong.message}"
        return
    if spec.kind(name)[1] != message.get("name"):
        yield f"{where}: its name must be the const of its type or action"
    for example in message.get("examples", ()):
        for error in spec.validator(name).iter_errors(example["payload"]):
            yield f"{where}: example: {error.json_path}: {error.message}"


def main(arguments: list[str] | None = None) -> int:
    """Print what was checked; 1 when something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  $ python tools/asyncapi.py\n  asyncapi.yaml: 47 messages, 9 operations",
    )  # fmt: skip
    parser.add_argument("--spec", type=Path, default=ROOT / "spec", help="folder of the contract")
    spec = load(parser.parse_args(arguments).spec)
    found = list(problems(spec))
    for problem in found:
        print(f"error: {OWN}: {problem}")
    print(f"{OWN}: {len(spec.messages)} messages, {len(spec.document['operations'])} operations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
