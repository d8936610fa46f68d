"""Checks the contract in spec/ and tells breaking changes from additive ones.

openapi.yaml must be valid OpenAPI 3.1 with true examples, no component left over, and every
operation fully described; the error codes it names must be in errors.yaml. All three files are
compared with the last version in git and with the server's own tables. A breaking change passes
only when CHANGELOG.md announces it, in its Unreleased section, by a line "- Breaking: ...".
"""

import argparse
import subprocess
import sys
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

Json = dict[str, Any]
Table = dict[str, Json]

ROOT = Path(__file__).resolve().parent.parent
UPSTREAM = ("origin/main", "main")
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
SCOPES = ("none", "read", "trade", "full")  # each may do what those before it may
ERROR_FIELDS = ("status", "title", "retryable", "advice")
RETCODE_FIELDS = ("number", "meaning", "error", "mt4")
LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
OTHER_LIMITS = ("pattern", "multipleOf", "uniqueItems")
DECIDING = {"errors": ("status", "retryable"), "retcodes": ("number", "error")}
# The C parser is 50 times faster, but not every build of PyYAML has it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

EXAMPLE = """\
example:
  $ python tools/spec_diff.py --base v1.2.0
  openapi.yaml: 25 operations
  compared with v1.2.0: 1 breaking, 1 additive
    BREAKING  Order (answer): field reason is gone
    additive  GET /orders: parameter ?magic is new
  error: announce the breaking changes: "- Breaking: ..." under Unreleased in CHANGELOG.md
"""


def parse(text: str) -> Json:
    """Read one YAML document whose top is a mapping."""
    document = yaml.load(text, LOADER)
    if not isinstance(document, dict):
        raise ValueError("the document must be a mapping")
    return document


class Spec:
    """An OpenAPI document: its operations, and schemas without `$ref`, `allOf` and unions."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.paths: Json = document.get("paths", {})
        self.components: Json = document.get("components", {})

    def resolve(self, node: Json) -> tuple[str, Json]:
        """Follow `$ref`; what stands beside it wins. Returns the component's name too, or ""."""
        name = ""
        while "$ref" in node:
            _, _, section, name = node["$ref"].split("/")
            beside = {key: value for key, value in node.items() if key != "$ref"}
            node = {**self.components[section][name], **beside}
        return name, node

    def target(self, node: Json) -> Json:
        """The node, or what its `$ref` means."""
        return self.resolve(node)[1]

    def operations(self) -> Iterator[tuple[str, Json]]:
        """Pairs such as ("GET /account", operation)."""
        for path, item in self.paths.items():
            for method in METHODS:
                if method in item:
                    yield f"{method.upper()} {path}", item[method]

    def parameters(self, where: str) -> dict[str, Json]:
        """Parameters of an operation and of its path, as "?name", "{name}" or "name:"."""
        method, path = where.split(" ", 1)
        item = self.paths[path]
        both = [*item.get("parameters", ()), *item[method.lower()].get("parameters", ())]
        forms = {"query": "?{}", "path": "{{{}}}"}
        named = map(self.target, both)
        return {forms.get(each["in"], "{}:").format(each["name"]): each for each in named}

    def variants(self, schema: Json) -> dict[str, Json]:
        """What a value may be, by JSON type, or by type and name where types repeat."""
        leaves = list(self._leaves(schema))
        types = [kind for kind, _, _ in leaves]
        return {
            f"{kind} {name}" if name and types.count(kind) > 1 else kind: node
            for kind, name, node in leaves
        }

    def _leaves(self, schema: Json) -> Iterator[tuple[str, str, Json]]:
        name, node = self.resolve(schema)
        node = self._merged(node)
        union = node.get("anyOf") or node.get("oneOf")
        for part in union or ():
            yield from self._leaves(part)
        if not union:
            types = node.get("type", "any")
            for kind in [types] if isinstance(types, str) else types:
                yield kind, name, {} if kind == "null" else node

    def _merged(self, schema: Json) -> Json:
        node = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema.get("allOf", ()):
            more = self._merged(self.target(part))
            properties = {**more.get("properties", {}), **node.get("properties", {})}
            required = [*more.get("required", ()), *node.get("required", ())]
            node = {**more, **node, "properties": properties, "required": required}
        return node


# --- the document by itself ----------------------------------------------------------------------


def invalid_openapi(spec: Spec) -> Iterator[str]:
    """Where the document is not OpenAPI 3.1."""
    for error in OpenAPIV31SpecValidator(spec.document).iter_errors():
        place = "/".join(map(str, error.absolute_path))
        yield f"{place or 'document'}: {error.message.splitlines()[0]}"


def references(node: Any) -> Iterator[str]:
    """Every `$ref` below a node."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from references(value)


def unused_components(spec: Spec) -> Iterator[str]:
    """Components that no operation reaches."""
    needs = [*spec.document.get("security", ())]
    needs += [need for _, operation in spec.operations() for need in operation.get("security", ())]
    used = {f"#/components/securitySchemes/{name}" for need in needs for name in need}
    waiting = list(references(spec.paths))
    while waiting:
        reference = waiting.pop()
        if reference not in used:
            used.add(reference)
            waiting += references(spec.target({"$ref": reference}))
    for section, members in spec.components.items():
        for name in members:
            if f"#/components/{section}/{name}" not in used:
                yield f"components/{section}/{name}: nothing uses it; remove it"


def incomplete_operations(spec: Spec) -> Iterator[str]:
    """Operations without a unique id, a summary, a declared tag or a scope."""
    tags = {tag["name"] for tag in spec.document.get("tags", ())}
    seen: set[str] = set()
    for where, operation in spec.operations():
        for name in ("operationId", "summary", "tags"):
            if not operation.get(name):
                yield f"{where}: {name} is missing"
        for tag in operation.get("tags", ()):
            if tag not in tags:
                yield f"{where}: tag {tag} is not declared at the top"
        if operation.get("operationId") in seen:
            yield f"{where}: operationId {operation['operationId']} is taken"
        seen.add(operation.get("operationId", ""))
        scope = operation.get("x-scope")
        if scope not in SCOPES:
            yield f"{where}: x-scope is {scope!r}; use one of {', '.join(SCOPES)}"
        elif (scope == "none") == bool(operation.get("security", spec.document.get("security"))):
            yield f"{where}: x-scope {scope} does not fit its security; only `security: []` is none"


def false_examples(spec: Spec) -> Iterator[str]:
    """Examples that their own schema refuses."""
    for place, schema, value in _examples(spec.document, ""):
        rules = {**schema, "components": spec.components}
        checker = Draft202012Validator(rules, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for error in checker.iter_errors(value):
            yield f"{place}: example {error.json_path}: {error.message}"


def _examples(node: Any, place: str) -> Iterator[tuple[str, Json, Any]]:
    """Every example with its place and schema; those of a schema are a list, others have names."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return
    examples = node.get("examples", {})
    if isinstance(examples, list):
        yield from ((place, node, value) for value in examples)
    elif "schema" in node:
        values = [example["value"] for example in examples.values()]
        values += [node["example"]] if "example" in node else []
        yield from ((place, node["schema"], value) for value in values)
    for key, value in node.items():
        if key not in ("example", "examples"):
            yield from _examples(value, f"{place}/{key}")


# --- error codes ---------------------------------------------------------------------------------


def code_problems(spec: Spec, errors: Table) -> Iterator[str]:
    """Where openapi.yaml and errors.yaml disagree about codes and their status."""
    named = set(spec.document.get("x-error-codes", ()))
    for where, operation in spec.operations():
        responses = {s: spec.target(r) for s, r in operation.get("responses", {}).items()}
        claims = [(where, operation.get("x-error-codes", ()), set(responses))]
        for status, response in responses.items():
            claims.append((f"{where} {status}", response.get("x-error-codes", ()), {status}))
            if status >= "400" and "x-error-codes" not in response:
                yield f"{where} {status}: x-error-codes is missing"
        for place, codes, statuses in claims:
            named.update(codes)
            for code in codes:
                if code in errors and str(errors[code]["status"]) not in statuses:
                    yield f"{place}: {code} has another status, {errors[code]['status']}"
    for code in sorted(named ^ errors.keys()):
        lacking = "errors.yaml" if code in named else "openapi.yaml"
        yield f"{lacking} does not name {code}"


def false_problem_examples(spec: Spec, errors: Table) -> Iterator[str]:
    """Examples of problems that say otherwise than errors.yaml."""
    for place, _, value in _examples(spec.document, ""):
        if isinstance(value, dict) and {"code", "title"} <= value.keys():
            entry = errors.get(value["code"], {})
            for name in ("status", "title", "retryable"):
                if value.get(name) != entry.get(name):
                    yield f"{place}: {value['code']}: {name} is {entry.get(name)!r} in errors.yaml"


def table_problems(errors: Table, retcodes: Table) -> Iterator[str]:
    """What is wrong with the two tables themselves."""
    yield from _table_problems("errors.yaml", errors, ERROR_FIELDS, sort_by="status")
    yield from _table_problems("retcodes.yaml", retcodes, RETCODE_FIELDS, sort_by="number")
    for column in ("number", "mt4"):
        values = [row[column] for row in retcodes.values() if row.get(column) is not None]
        for twice in sorted({value for value in values if values.count(value) > 1}):
            yield f"retcodes.yaml: {column} {twice} stands twice"
    for name, row in retcodes.items():
        if row.get("error") not in (None, *errors):
            yield f"retcodes.yaml: {name}: errors.yaml has no code {row['error']}"


def _table_problems(
    file: str, table: Table, fields: tuple[str, ...], *, sort_by: str
) -> Iterator[str]:
    for key, row in table.items():
        if set(row) != set(fields):
            yield f"{file}: {key} has {', '.join(row)}; write {', '.join(fields)}"
    values = [row.get(sort_by, 0) for row in table.values()]
    if values != sorted(values):
        yield f"{file}: sort it by {sort_by}"


# --- one version against the next ----------------------------------------------------------------


class Change(NamedTuple):
    """One difference that a client could notice."""

    breaking: bool
    where: str
    what: str

    def __str__(self) -> str:
        return f"{'BREAKING' if self.breaking else 'additive'}  {self.where}: {self.what}"


@dataclass
class Comparison:
    """Walks two versions of the contract side by side and notes every change.

    What clients send may only get wider: fewer rules, more values. What they are answered may gain
    fields and values, and may not lose any. `sent` says which of the two a schema is.
    """

    old: Spec
    new: Spec
    found: dict[Change, None] = field(default_factory=dict)  # an ordered set
    walked: set[tuple[str, bool]] = field(default_factory=set)

    def run(self) -> list[Change]:
        """Compare everything; the breaking changes come first."""
        before, after = dict(self.old.operations()), dict(self.new.operations())
        for where in self._kept("paths", "operation", before, after):
            self._operation(where, before[where], after[where])
        return sorted(self.found, key=lambda change: not change.breaking)

    def _note(self, breaking: bool, where: str, what: str) -> None:
        self.found[Change(breaking, where, what)] = None

    def _moved(self, breaking: bool, where: str, what: str, old: Any, new: Any) -> None:
        if old != new:
            self._note(breaking, where, f"{what} {old} becomes {new}")

    def _kept(
        self,
        where: str,
        noun: str,
        old: Iterable[str],
        new: Iterable[str],
        *,
        gone: Container[str] | None = None,
        came: Container[str] = (),
    ) -> list[str]:
        """Note what went and came (`gone`, `came`: which of it breaks); returns what stayed."""
        before, after = list(old), list(new)
        for key in before:
            if key not in after:
                self._note(gone is None or key in gone, where, f"{noun} {key} is gone")
        for key in after:
            if key not in before:
                required = " and required" * (key in came and noun != "type")
                self._note(key in came, where, f"{noun} {key} is new{required}")
        return [key for key in before if key in after]

    def _operation(self, where: str, old: Json, new: Json) -> None:
        scopes = [each.get("x-scope", "none") for each in (old, new)]
        self._moved(SCOPES.index(scopes[0]) < SCOPES.index(scopes[1]), where, "scope", *scopes)
        self._parameters(where)
        bodies = (
            self.old.target(old.get("requestBody", {})),
            self.new.target(new.get("requestBody", {})),
        )
        self._need(f"{where} body", "", *bodies, sent=True)
        self._content(f"{where} body", *bodies, sent=True)
        self._responses(where, old["responses"], new["responses"])

    def _need(self, where: str, what: str, old: Json, new: Json, *, sent: bool) -> None:
        needs = [each.get("required", False) for each in (old, new)]
        self._moved(needs[1] == sent, where, f"{what} required".strip(), *needs)

    def _parameters(self, where: str) -> None:
        before, after = self.old.parameters(where), self.new.parameters(where)
        needed = [name for name in after if after[name].get("required")]
        for name in self._kept(where, "parameter", before, after, came=needed):
            old, new, place = before[name], after[name], f"{where} {name}"
            self._need(place, "", old, new, sent=True)
            for how in ("style", "explode"):
                self._moved(True, place, how, old.get(how), new.get(how))
            self._schema(place, old["schema"], new["schema"], sent=True)

    def _responses(self, where: str, old: Json, new: Json) -> None:
        successes = [status for status in old if status.startswith("2")]
        for status in self._kept(where, "answer", old, new, gone=successes):
            before, after = self.old.target(old[status]), self.new.target(new[status])
            place = f"{where} {status}"
            self._headers(place, before.get("headers", {}), after.get("headers", {}))
            self._content(place, before, after, sent=False)

    def _headers(self, where: str, old: Json, new: Json) -> None:
        for name in self._kept(where, "header", old, new):
            before, after = self.old.target(old[name]), self.new.target(new[name])
            self._need(f"header {name}", "", before, after, sent=False)
            self._schema(f"header {name}", before["schema"], after["schema"], sent=False)

    def _content(self, where: str, old: Json, new: Json, *, sent: bool) -> None:
        before, after = old.get("content", {}), new.get("content", {})
        for media in self._kept(where, "content", before, after):
            old_schema, new_schema = (each[media].get("schema", {}) for each in (before, after))
            self._schema(where, old_schema, new_schema, sent=sent)

    def _schema(self, where: str, old: Json, new: Json, *, sent: bool) -> None:
        """Compare two schemas type by type; a named one is walked once for each direction."""
        name = _plain_name(old)
        if name and name == _plain_name(new):
            if (name, sent) in self.walked:
                return
            self.walked.add((name, sent))
            where = f"{name} ({'request' if sent else 'answer'})"
        before, after = self.old.variants(old), self.new.variants(new)
        gone, came = ([*before], ()) if sent else ((), [*after])
        for kind in self._kept(where, "type", before, after, gone=gone, came=came):
            self._leaf(where, before[kind], after[kind], sent=sent)

    def _leaf(self, where: str, old: Json, new: Json, *, sent: bool) -> None:
        self._values(where, _enumeration(old), _enumeration(new), sent=sent)
        self._limits(where, old, new, sent=sent)
        self._fields(where, old, new, sent=sent)
        if "items" in old and "items" in new:
            self._schema(f"{where}[]", old["items"], new["items"], sent=sent)

    def _values(
        self, where: str, old: list[str] | None, new: list[str] | None, *, sent: bool
    ) -> None:
        if old is None or new is None:
            self._moved(sent and new is not None, where, "values", old or "any", new or "any")
        else:
            self._kept(where, "value", old, new, gone=old if sent else ())

    def _limits(self, where: str, old: Json, new: Json, *, sent: bool) -> None:
        for name in (*LOWER_BOUNDS, *UPPER_BOUNDS, *OTHER_LIMITS):
            before, after = old.get(name), new.get(name)
            self._moved(sent and _tighter(name, before, after), where, name, before, after)
        formats, defaults = ([each.get(n) for each in (old, new)] for n in ("format", "default"))
        self._moved(not (sent and formats[1] is None), where, "format", *formats)
        self._moved(sent and defaults[0] is not None, where, "default", *defaults)

    def _fields(self, where: str, old: Json, new: Json, *, sent: bool) -> None:
        before, after = old.get("properties", {}), new.get("properties", {})
        had, has = (each.get("required", ()) for each in (old, new))
        for name in self._kept(where, "field", before, after, came=has if sent else ()):
            needs = ({"required": name in names} for names in (had, has))
            self._need(where, f"field {name}:", *needs, sent=sent)
            self._schema(f"{where}.{name}", before[name], after[name], sent=sent)
        opens = [each.get("additionalProperties", True) for each in (old, new)]
        self._moved(opens[1 if sent else 0] is not True, where, "additionalProperties", *opens)


def _plain_name(schema: Json) -> str:
    """The component that a schema is, unless more rules stand beside the `$ref`."""
    alone = schema.keys() <= {"$ref", "description"}
    return str(schema["$ref"]).rpartition("/")[2] if alone and "$ref" in schema else ""


def _enumeration(schema: Json) -> list[str] | None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if values is None else [str(value) for value in values if value is not None]


def _tighter(name: str, old: Any, new: Any) -> bool:
    if new is None:
        return False
    if old is None or name in OTHER_LIMITS:
        return True
    return bool(new > old if name in LOWER_BOUNDS else new < old)


def compare_specs(old: Json, new: Json) -> list[Change]:
    """Every difference of two OpenAPI documents that a client could notice."""
    return Comparison(Spec(old), Spec(new)).run()


def compare_tables(name: str, old: Table, new: Table) -> list[Change]:
    """Differences of errors.yaml or retcodes.yaml (`name` without .yaml)."""
    where = f"{name}.yaml"
    return [
        *(Change(True, where, f"{key} is gone") for key in old if key not in new),
        *(
            Change(True, where, f"{key}: {column} {old[key].get(column)} becomes {row.get(column)}")
            for key, row in new.items()
            for column in DECIDING[name]
            if key in old and old[key].get(column) != row.get(column)
        ),
        *(Change(False, where, f"{key} is new") for key in new if key not in old),
    ]


def announces_breaking(changelog: str) -> bool:
    """Whether the Unreleased section has a line that starts with "- Breaking:"."""
    inside = False
    for line in changelog.splitlines():
        if line.startswith("## "):
            inside = line[3:].strip(" []").lower() == "unreleased"
        elif inside and line.startswith("- Breaking:"):
            return True
    return False


# --- the server's own tables ---------------------------------------------------------------------


def server_problems(errors: Table, retcodes: Table) -> list[str] | None:
    """Where the server's tables differ from the files; None if the server is not installed."""
    try:
        catalogue = import_module("fxsocket_server.core.errors").CATALOGUE
        retcode = import_module("fxsocket_server.model.retcode").Retcode
    except ModuleNotFoundError as missing:
        if missing.name == "fxsocket_server":
            return None
        raise
    fields = ("code", *ERROR_FIELDS)
    kinds = {key: {name: getattr(kind, name) for name in fields} for key, kind in catalogue.items()}
    written = {key: {"code": key, **row} for key, row in errors.items()}
    numbers = {key: {"number": row["number"]} for key, row in retcodes.items()}
    members = {name: {"number": int(member)} for name, member in retcode.__members__.items()}
    return [
        *_differences("errors.yaml", written, "CATALOGUE", kinds),
        *_differences("retcodes.yaml", numbers, "Retcode", members),
    ]


def _differences(file: str, written: Table, name: str, known: Table) -> Iterator[str]:
    for key in {**written, **known}:
        row, real = written.get(key, {}), known.get(key, {})
        for column in {**row, **real}:
            if row.get(column) != real.get(column):
                said, meant = row.get(column), real.get(column)
                yield f"{key}: {column} is {said!r} in {file}, {meant!r} in the server's {name}"


# --- command -------------------------------------------------------------------------------------


def git(root: Path, *arguments: str) -> str | None:
    """The output of a git command, or None if it fails or there is no git."""
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


def base_commit(root: Path) -> str | None:
    """Where this branch left the main one; on that one itself, or without it, the last commit."""
    for branch in UPSTREAM:
        if found := git(root, "merge-base", "HEAD", branch):
            return found.strip()
    return "HEAD" if git(root, "rev-parse", "--verify", "HEAD") else None


def changes_since(root: Path, base: str, files: dict[str, Json]) -> list[Change] | None:
    """What changed in spec/ since a commit; None if it had no openapi.yaml yet."""
    old = {name: git(root, "show", f"{base}:spec/{name}.yaml") for name in files}
    if old["openapi"] is None:
        return None
    changes = compare_specs(parse(old["openapi"]), files["openapi"])
    for name in DECIDING:
        changes += compare_tables(name, parse(old[name] or "{}"), files[name])
    return changes


def problems_of(files: dict[str, Json]) -> list[str]:
    """All that is wrong with the three files as they stand; a broken document hides the rest."""
    spec, errors = Spec(files["openapi"]), files["errors"]
    broken = [*invalid_openapi(spec), *table_problems(errors, files["retcodes"])]
    return broken or [
        *unused_components(spec),
        *incomplete_operations(spec),
        *code_problems(spec, errors),
        *false_examples(spec),
        *false_problem_examples(spec, errors),
    ]


def unannounced(root: Path, base: str | None, files: dict[str, Json]) -> list[str]:
    """Print what changed; a problem if it breaks clients and the changelog does not say so."""
    changes = changes_since(root, base, files) if base else None
    if changes is None:
        print("first version: there is no base to compare with")
        return []
    breaking = sum(change.breaking for change in changes)
    print(f"compared with {base}: {breaking} breaking, {len(changes) - breaking} additive")
    for change in changes:
        print(f"  {change}")
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8") if changelog.exists() else ""
    if not breaking or announces_breaking(text):
        return []
    return ['announce the breaking changes: "- Breaking: ..." under Unreleased in CHANGELOG.md']


def check(root: Path, base: str | None) -> list[str]:
    """Check spec/ below `root` against a git revision (None finds one), printing as it goes."""
    names = ("openapi", "errors", "retcodes")
    files = {n: parse((root / f"spec/{n}.yaml").read_text(encoding="utf-8")) for n in names}
    if problems := problems_of(files):
        return problems
    print(f"openapi.yaml: {len(list(Spec(files['openapi']).operations()))} operations")
    problems = unannounced(root, base or base_commit(root), files)
    differing = server_problems(files["errors"], files["retcodes"])
    if differing is None:
        print("fxsocket_server is not installed: its tables were not compared")
    return problems + (differing or [])


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", help="git revision to compare with (default: the fork from main)")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: this one)")
    options = parser.parse_args(arguments)
    problems = check(options.root, options.base)
    for problem in problems:
        print(f"error: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
