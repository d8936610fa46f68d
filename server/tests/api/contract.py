"""The contract as a judge: every answer of a server is held against spec/openapi.yaml."""

import re
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx2
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from fxsocket_server.bootstrap.server import spec_folder

Json = dict[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")
_SAMPLE = 100  # rows judged at each end of a long list
_FORMATS = FormatChecker(("date-time",))


class Operation:
    """One method of one path as the contract has it."""

    def __init__(self, contract: "Contract", path: str, method: str) -> None:
        item = contract.document["paths"][path]
        self.body: Json = item[method]
        self.id: str = self.body["operationId"]
        self.method = method.upper()
        self.path = path
        self.scope: str = self.body["x-scope"]
        self.is_open = self.scope == "none"
        self.route = path if self.is_open else "/v1" + path
        listed = [*item.get("parameters", ()), *self.body.get("parameters", ())]
        self.parameters = [contract.resolve(parameter) for parameter in listed]
        self.responses = {
            int(status): contract.resolve(response)
            for status, response in self.body["responses"].items()
        }
        self._pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", self.route))

    def names(self, where: str) -> set[str]:
        """The names of its parameters in query, header or path."""
        return {p["name"] for p in self.parameters if p["in"] == where}

    def codes(self, status: int) -> set[str]:
        """The error codes that it may answer with a status."""
        return {
            *self.responses[status].get("x-error-codes", ()),
            *self.body.get("x-error-codes", ()),
        }

    def serves(self, method: str, path: str) -> bool:
        """Whether a request is its own."""
        return method == self.method and self._pattern.fullmatch(path) is not None


class Contract:
    """spec/openapi.yaml; `check` judges an answer and counts it in `seen`."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or spec_folder()
        self.document: Json = yaml.safe_load((folder / "openapi.yaml").read_text())
        self.errors: Json = yaml.safe_load((folder / "errors.yaml").read_text())
        self.schemas: Json = self.document["components"]["schemas"]
        self.operations = [
            Operation(self, path, method)
            for path, item in self.document["paths"].items()
            for method in item
            if method in _METHODS
        ]
        self.seen: Counter[tuple[str, int, str | None]] = Counter()
        closed = _closed(self.document)
        resource = DRAFT202012.create_resource(closed)
        self._registry: Registry[Any] = Registry().with_resource("urn:spec", resource)
        self._validators: dict[str, Draft202012Validator] = {}

    @property
    def words(self) -> tuple[str, ...]:
        """The names of all fields."""
        schemas = self.schemas.values()
        return tuple(sorted({name for schema in schemas for name in schema.get("properties", ())}))

    def resolve(self, node: Json) -> Json:
        """A node, or what its `$ref` points at."""
        while "$ref" in node:
            target: Any = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            node = target
        return node

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation that a request means; a literal path goes before a template."""
        found = [op for op in self.operations if op.serves(method, path)]
        return min(found, key=lambda op: op.route.count("{"), default=None)

    def schema_errors(self, name: str, value: Any) -> list[str]:
        """What a schema of the contract says against a value."""
        return self._errors({"$ref": f"#/components/schemas/{name}"}, value)

    # --- answers -----------------------------------------------------------------------------

    def check(self, response: httpx2.Response) -> None:
        """Hold an answer against the contract; AssertionError says what does not fit."""
        request = response.request
        operation = self.operation(request.method, request.url.path)
        faults = self._faults(operation, response)
        where = f"{request.method} {request.url.raw_path.decode()} -> {response.status_code}"
        assert not faults, f"{where}: " + "; ".join(faults) + f"\n{response.text[:2000]}"

    def _faults(self, operation: Operation | None, response: httpx2.Response) -> list[str]:
        status = response.status_code
        if status >= 400:
            faults = self._problem_faults(operation, response)
        else:
            faults = []
        if operation is None or status not in operation.responses:
            undeclared = [] if status >= 400 else [f"status {status} is not declared"]
            anywhere = self.document["x-header-sets"]["answer"]
            return faults + undeclared + self._header_faults(anywhere, response)
        declared = operation.responses[status]
        faults += self._header_faults(declared["headers"], response)
        faults += self._body_faults(declared["content"], response)
        code = response.json().get("code") if status >= 400 else None
        self.seen[operation.id, status, code] += 1
        return faults

    def _problem_faults(self, operation: Operation | None, response: httpx2.Response) -> list[str]:
        if response.headers.get("content-type") != "application/problem+json":
            return ["an error must be application/problem+json"]
        problem = response.json()
        if faults := self.schema_errors("Problem", problem):
            return faults
        kind = self.errors.get(problem["code"])
        if kind is None:
            return [f"{problem['code']} is not in errors.yaml"]
        told = (problem["status"], problem["title"], problem["retryable"])
        if told != (kind["status"], kind["title"], kind["retryable"]):
            faults.append("status, title or retryable are not those of errors.yaml")
        if problem["status"] != response.status_code:
            faults.append("the problem has another status than the answer")
        replayed = "idempotency-replayed" in response.headers
        if problem["instance"] != response.headers["x-request-id"] and not replayed:
            faults.append("instance is not the request id")
        if operation is not None and problem["code"] not in self._codes(operation, response):
            faults.append(f"{problem['code']} is not declared for {operation.id}")
        return faults

    def _codes(self, operation: Operation, response: httpx2.Response) -> set[str]:
        anywhere = set(self.document["x-error-codes"])
        if response.status_code not in operation.responses:
            return anywhere
        return anywhere | operation.codes(response.status_code)

    def _header_faults(self, declared: Json, response: httpx2.Response) -> list[str]:
        faults = []
        for name, node in declared.items():
            header = self.resolve(node)
            value: Any = response.headers.get(name)
            if value is None:
                faults += [f"header {name} is missing"] if header.get("required") else []
                continue
            if header["schema"]["type"] == "integer":
                value = int(value)
            faults += [f"{name}: {fault}" for fault in self._errors(header["schema"], value)]
        return faults

    def _body_faults(self, content: Json, response: httpx2.Response) -> list[str]:
        kind = response.headers["content-type"].partition(";")[0]
        if kind not in content:
            return [f"content type {kind} is not declared"]
        is_json = kind.endswith("json")
        value = _sample(response.json()) if is_json else response.text
        return self._errors(content[kind]["schema"], value)

    def _errors(self, schema: Json, value: Any) -> list[str]:
        key = repr(schema)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator(
                {"$id": "urn:use", **_absolute(schema)},
                registry=self._registry,
                format_checker=_FORMATS,
            )
        errors = self._validators[key].iter_errors(value)
        return [f"{error.json_path}: {error.message[:300]}" for error in errors]


def _absolute(node: Any) -> Any:
    """A schema whose references name the whole contract."""
    if isinstance(node, list):
        return [_absolute(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: "urn:spec" + value if key == "$ref" else _absolute(value)
        for key, value in node.items()
    }


def _closed(document: Json) -> Json:
    """The contract with objects that take no property but their own.

    Clients pass over what they do not know; the server may not say what the contract does not.
    """
    document = deepcopy(document)
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        if "allOf" in schema:
            schemas[name] = _merged(document, schema)
    for schema in _objects(schemas):
        schema["additionalProperties"] = False
    return document


def _merged(document: Json, schema: Json) -> Json:
    """An object made of the parts of `allOf`."""
    parts = []
    for part in schema["allOf"]:
        name = part.get("$ref", "").rpartition("/")[2]
        parts.append(document["components"]["schemas"][name] if name else part)
    return {
        "type": "object",
        "required": [name for part in parts for name in part["required"]],
        "properties": {key: value for part in parts for key, value in part["properties"].items()},
    }


def _objects(node: Any) -> list[Json]:
    """Every schema with properties."""
    if isinstance(node, list):
        return [found for item in node for found in _objects(item)]
    if not isinstance(node, dict):
        return []
    own = [node] if isinstance(node.get("properties"), dict) else []
    return own + [found for item in node.values() for found in _objects(item)]


def _sample(body: Any) -> Any:
    """A long list's ends: a thousand rows of one kind need not all be judged."""
    if isinstance(body, list) and len(body) > 2 * _SAMPLE:
        return body[:_SAMPLE] + body[-_SAMPLE:]
    if isinstance(body, dict) and isinstance(body.get("data"), list):
        return {**body, "data": _sample(body["data"])}
    return body
