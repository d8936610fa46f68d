"""The contract's own checks, and the rules that tell breaking changes from additive ones."""

import copy
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

import spec_diff

ORDER = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {
        "id": {"type": "string"},
        "status": {"type": "string", "enum": ["PLACED", "FILLED"]},
        "price": {"type": ["number", "null"]},
        "legs": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}},
    },
}
REQUEST = {
    "type": "object",
    "required": ["volume"],
    "additionalProperties": False,
    "properties": {
        "volume": {"type": "number", "exclusiveMinimum": 0},
        "side": {"type": "string", "enum": ["BUY", "SELL"]},
        "comment": {"type": "string", "maxLength": 31, "default": "none"},
        "expires_at": {"type": "string", "format": "date-time"},
    },
}
PROBLEM_EXAMPLE = {"code": "unauthorized", "title": "Unauthorized", "status": 401}
ERRORS: spec_diff.Table = {
    "unauthorized": {"status": 401, "title": "Unauthorized", "retryable": False, "advice": "Key."},
    "rejected": {"status": 422, "title": "Rejected", "retryable": False, "advice": "Read why."},
}
RETCODES: spec_diff.Table = {
    "REJECT": {"number": 10006, "meaning": "Rejected.", "error": "rejected", "mt4": None},
    "DONE": {"number": 10009, "meaning": "Done.", "error": None, "mt4": None},
}


def json_of(name):
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def response(code, **more):
    content = {"application/problem+json": {"schema": {"type": "object"}, **more}}
    return {"description": "No.", "x-error-codes": [code], "content": content}


BASE: spec_diff.Json = {
    "openapi": "3.1.0",
    "info": {"title": "Small", "version": "1"},
    "security": [{"bearer": []}],
    "tags": [{"name": "Orders"}],
    "paths": {
        "/orders": {
            "parameters": [{"name": "account", "in": "query", "schema": {"type": "string"}}],
            "post": {
                "operationId": "createOrder",
                "summary": "Place.",
                "tags": ["Orders"],
                "x-scope": "trade",
                "requestBody": {"required": True, "content": json_of("Request")},
                "responses": {
                    "200": {
                        "description": "Placed.",
                        "headers": {"X-Id": {"schema": {"type": "string"}}},
                        "content": json_of("Order"),
                    },
                    "401": response(
                        "unauthorized", example={**PROBLEM_EXAMPLE, "retryable": False}
                    ),
                    "422": response("rejected"),
                },
            },
        },
        "/health": {
            "get": {
                "operationId": "getHealth",
                "summary": "Alive?",
                "tags": ["Orders"],
                "x-scope": "none",
                "security": [],
                "responses": {"200": {"description": "Yes."}},
            },
        },
    },
    "components": {
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        "schemas": {"Order": ORDER, "Request": REQUEST},
    },
}


def edited(edit):
    """BASE after an edit that gets (document, createOrder, Order, Request)."""
    spec = copy.deepcopy(BASE)
    schemas = spec["components"]["schemas"]
    edit(spec, spec["paths"]["/orders"]["post"], schemas["Order"], schemas["Request"])
    return spec


def lines(old, new):
    return [str(change) for change in spec_diff.compare_specs(old, new)]


def test_an_unchanged_spec_has_no_changes():
    assert lines(BASE, copy.deepcopy(BASE)) == []


def test_words_are_no_change():
    def edit(spec, post, order, _request):
        spec["info"]["description"] = post["summary"] = order["description"] = "Other words."

    assert lines(BASE, edited(edit)) == []


CHANGES = {
    "path gone": (
        lambda s, p, o, r: s["paths"].pop("/health"),
        "BREAKING  paths: operation GET /health is gone",
    ),
    "operation new": (
        lambda s, p, o, r: s["paths"]["/health"].update(head=s["paths"]["/health"]["get"]),
        "additive  paths: operation HEAD /health is new",
    ),
    "scope raised": (
        lambda s, p, o, r: p.update({"x-scope": "full"}),
        "BREAKING  POST /orders: scope trade becomes full",
    ),
    "scope lowered": (
        lambda s, p, o, r: p.update({"x-scope": "read"}),
        "additive  POST /orders: scope trade becomes read",
    ),
    "parameter gone": (
        lambda s, p, o, r: s["paths"]["/orders"]["parameters"].pop(),
        "BREAKING  POST /orders: parameter ?account is gone",
    ),
    "parameter required": (
        lambda s, p, o, r: s["paths"]["/orders"]["parameters"][0].update(required=True),
        "BREAKING  POST /orders ?account: required False becomes True",
    ),
    "parameter split otherwise": (
        lambda s, p, o, r: s["paths"]["/orders"]["parameters"][0].update(explode=False),
        "BREAKING  POST /orders ?account: explode None becomes False",
    ),
    "parameter new": (
        lambda s, p, o, r: p.update(parameters=[{"name": "Key", "in": "header", "schema": {}}]),
        "additive  POST /orders: parameter Key: is new",
    ),
    "parameter new and required": (
        lambda s, p, o, r: p.update(
            parameters=[{"name": "Key", "in": "header", "required": True, "schema": {}}]
        ),
        "BREAKING  POST /orders: parameter Key: is new and required",
    ),
    "body optional": (
        lambda s, p, o, r: p["requestBody"].update(required=False),
        "additive  POST /orders body: required True becomes False",
    ),
    "body type gone": (
        lambda s, p, o, r: p["requestBody"].update(content={"text/csv": {}}),
        "BREAKING  POST /orders body: content application/json is gone",
    ),
    "success gone": (
        lambda s, p, o, r: p["responses"].update({"201": p["responses"].pop("200")}),
        "BREAKING  POST /orders: answer 200 is gone",
    ),
    "refusal gone": (
        lambda s, p, o, r: p["responses"].pop("422"),
        "additive  POST /orders: answer 422 is gone",
    ),
    "header gone": (
        lambda s, p, o, r: p["responses"]["200"]["headers"].pop("X-Id"),
        "BREAKING  POST /orders 200: header X-Id is gone",
    ),
    "answer field gone": (
        lambda s, p, o, r: o["properties"].pop("price"),
        "BREAKING  Order (answer): field price is gone",
    ),
    "answer field new": (
        lambda s, p, o, r: o["properties"].update(swap={"type": "number"}),
        "additive  Order (answer): field swap is new",
    ),
    "answer field optional": (
        lambda s, p, o, r: o["required"].remove("id"),
        "BREAKING  Order (answer): field id: required True becomes False",
    ),
    "request field gone": (
        lambda s, p, o, r: r["properties"].pop("comment"),
        "BREAKING  Request (request): field comment is gone",
    ),
    "request field new": (
        lambda s, p, o, r: r["properties"].update(magic={"type": "integer"}),
        "additive  Request (request): field magic is new",
    ),
    "request field new and required": (
        lambda s, p, o, r: (r["required"].append("magic"), r["properties"].update(magic={})),
        "BREAKING  Request (request): field magic is new and required",
    ),
    "request field required": (
        lambda s, p, o, r: r["required"].append("side"),
        "BREAKING  Request (request): field side: required False becomes True",
    ),
    "request field optional": (
        lambda s, p, o, r: r["required"].clear(),
        "additive  Request (request): field volume: required True becomes False",
    ),
    "request opened": (
        lambda s, p, o, r: r.update(additionalProperties=True),
        "additive  Request (request): additionalProperties False becomes True",
    ),
}


def judge(spec, expected):
    """The expected change is told; it breaks or not; what breaks comes first."""
    found = lines(BASE, spec)
    assert expected in found
    breaking = [line.startswith("BREAKING") for line in found]
    assert any(breaking) == expected.startswith("BREAKING")
    assert breaking == sorted(breaking, reverse=True)


@pytest.mark.parametrize(("edit", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_told_and_judged(edit, expected):
    judge(edited(edit), expected)


@pytest.mark.parametrize(
    ("field", "rules", "expected"),
    [
        ("id", {"type": "integer"}, "BREAKING: type integer is new"),
        ("id", {"type": ["string", "null"]}, "BREAKING: type null is new"),
        ("price", {"type": "number"}, "additive: type null is gone"),
        ("status", {"enum": ["PLACED"]}, "additive: value FILLED is gone"),
        ("status", {"enum": ["PLACED", "FILLED", "LOST"]}, "additive: value LOST is new"),
        ("id", {"format": "uuid"}, "BREAKING: format None becomes uuid"),
        ("id", {"maxLength": 9}, "additive: maxLength None becomes 9"),
    ],
)
def test_a_field_of_an_answer_is_judged(field, rules, expected):
    spec = edited(lambda s, p, o, r: o["properties"][field].update(rules))
    judge(spec, expected.replace(":", f"  Order (answer).{field}:", 1))


@pytest.mark.parametrize(
    ("field", "rules", "expected"),
    [
        ("side", {"enum": ["BUY"]}, "BREAKING: value SELL is gone"),
        ("side", {"enum": ["BUY", "SELL", "BOTH"]}, "additive: value BOTH is new"),
        ("comment", {"enum": ["", "a"]}, "BREAKING: values any becomes ['', 'a']"),
        ("volume", {"type": "integer"}, "BREAKING: type number is gone"),
        ("comment", {"type": ["string", "null"]}, "additive: type null is new"),
        ("comment", {"maxLength": 27}, "BREAKING: maxLength 31 becomes 27"),
        ("comment", {"maxLength": 63}, "additive: maxLength 31 becomes 63"),
        ("volume", {"exclusiveMinimum": 1}, "BREAKING: exclusiveMinimum 0 becomes 1"),
        ("volume", {"exclusiveMinimum": None}, "additive: exclusiveMinimum 0 becomes None"),
        ("comment", {"pattern": "^a$"}, "BREAKING: pattern None becomes ^a$"),
        ("comment", {"default": "bot"}, "BREAKING: default none becomes bot"),
        ("volume", {"default": 1}, "additive: default None becomes 1"),
        ("expires_at", {"format": None}, "additive: format date-time becomes None"),
        ("expires_at", {"format": "date"}, "BREAKING: format date-time becomes date"),
    ],
)
def test_a_field_of_a_request_is_judged(field, rules, expected):
    spec = edited(lambda s, p, o, r: r["properties"][field].update(rules))
    judge(spec, expected.replace(":", f"  Request (request).{field}:", 1))


def test_a_rule_beside_a_reference_is_seen():
    def refer(**beside):
        def edit(spec, post, _order, request):
            spec["components"]["schemas"]["Text"] = {"type": "string"}
            text = {"$ref": "#/components/schemas/Text"}
            request["properties"].update(first=text, second={**text, **beside})

        return edited(edit)

    expected = "BREAKING  Request (request).second: default a becomes b"
    assert lines(refer(default="a"), refer(default="b")) == [expected]


def test_a_schema_of_both_directions_is_judged_in_each():
    def both(values):
        def edit(spec, post, order, request):
            spec["components"]["schemas"]["Mode"] = {"type": "string", "enum": values}
            for schema in (order, request):
                schema["properties"]["mode"] = {"$ref": "#/components/schemas/Mode"}

        return edited(edit)

    assert lines(both(["A", "B"]), both(["A"])) == [
        "BREAKING  Mode (request): value B is gone",
        "additive  Mode (answer): value B is gone",
    ]


def test_a_schema_that_contains_itself_ends_and_is_told_once():
    def edit(_spec, _post, order, _request):
        del order["properties"]["price"]

    assert lines(BASE, edited(edit)) == ["BREAKING  Order (answer): field price is gone"]


def test_a_union_that_shrinks_breaks_answers_no_reader():
    def union(_spec, post, _order, _request):
        both = [{"$ref": f"#/components/schemas/{name}"} for name in ("Order", "Request")]
        post["responses"]["200"]["content"]["application/json"]["schema"] = {"oneOf": both}

    old = edited(union)
    new = copy.deepcopy(old)
    answer = new["paths"]["/orders"]["post"]["responses"]["200"]["content"]["application/json"]
    answer["schema"]["oneOf"].append({"type": "null"})
    assert lines(old, new) == ["BREAKING  POST /orders 200: type null is new"]
    assert lines(new, old) == ["additive  POST /orders 200: type null is gone"]


def test_fields_of_all_of_are_compared():
    def extend(_spec, post, _order, _request):
        more = {"type": "object", "required": ["updated"], "properties": {"updated": {}}}
        whole = {"allOf": [{"$ref": "#/components/schemas/Order"}, more]}
        post["responses"]["200"]["content"]["application/json"]["schema"] = whole

    old = edited(extend)
    new = copy.deepcopy(old)
    del new["components"]["schemas"]["Order"]["properties"]["status"]
    assert "BREAKING  POST /orders 200: field status is gone" in lines(old, new)


def test_tables_may_grow_and_not_change():
    new = {"fresh": {"status": 404, "retryable": False}, **copy.deepcopy(ERRORS)}
    new["rejected"]["status"] = 409
    del new["unauthorized"]
    assert [str(change) for change in spec_diff.compare_tables("errors", ERRORS, new)] == [
        "BREAKING  errors.yaml: unauthorized is gone",
        "BREAKING  errors.yaml: rejected: status 422 becomes 409",
        "additive  errors.yaml: fresh is new",
    ]


# --- the document by itself ----------------------------------------------------------------------


def problems(spec=BASE, errors=ERRORS, retcodes=RETCODES):
    return spec_diff.problems_of({"openapi": spec, "errors": errors, "retcodes": retcodes})


def test_a_sound_spec_has_no_problems():
    assert problems() == []


FAULTS = {
    "not openapi": (
        lambda s, p, o, r: s["info"].pop("title"),
        'info: "title" is a required property',
    ),
    "unused component": (
        lambda s, p, o, r: s["components"]["schemas"].update(Lone={"type": "string"}),
        "components/schemas/Lone: nothing uses it; remove it",
    ),
    "component used by an unused one": (
        lambda s, p, o, r: s["components"]["schemas"].update(
            Lone={"$ref": "#/components/schemas/Pair"}, Pair={"type": "string"}
        ),
        "components/schemas/Pair: nothing uses it; remove it",
    ),
    "no summary": (
        lambda s, p, o, r: p.pop("summary"),
        "POST /orders: summary is missing",
    ),
    "no id": (
        lambda s, p, o, r: p.pop("operationId"),
        "POST /orders: operationId is missing",
    ),
    "unknown tag": (
        lambda s, p, o, r: p.update(tags=["Odres"]),
        "POST /orders: tag Odres is not declared at the top",
    ),
    "no scope": (
        lambda s, p, o, r: p.pop("x-scope"),
        "POST /orders: x-scope is None; use one of none, read, trade, full",
    ),
    "key, no scope": (
        lambda s, p, o, r: p.update({"x-scope": "none"}),
        "POST /orders: x-scope none does not fit its security; only `security: []` is none",
    ),
    "scope, no key": (
        lambda s, p, o, r: p.update(security=[]),
        "POST /orders: x-scope trade does not fit its security; only `security: []` is none",
    ),
    "false example": (
        lambda s, p, o, r: o.update(examples=[{"id": 7, "status": "FILLED"}]),
        "/components/schemas/Order: example $.id: 7 is not of type 'string'",
    ),
    "unknown code": (
        lambda s, p, o, r: p.update({"x-error-codes": ["typo"]}),
        "errors.yaml does not name typo",
    ),
    "code nowhere": (
        lambda s, p, o, r: p["responses"].pop("422"),
        "openapi.yaml does not name rejected",
    ),
    "code under another status": (
        lambda s, p, o, r: p["responses"]["401"]["x-error-codes"].append("rejected"),
        "POST /orders 401: rejected has another status, 422",
    ),
    "code whose status is not answered": (
        lambda s, p, o, r: s["paths"]["/health"]["get"].update({"x-error-codes": ["rejected"]}),
        "GET /health: rejected has another status, 422",
    ),
    "refusal without codes": (
        lambda s, p, o, r: p["responses"]["401"].pop("x-error-codes"),
        "POST /orders 401: x-error-codes is missing",
    ),
    "false problem example": (
        lambda s, p, o, r: p["responses"]["401"]["content"]["application/problem+json"].update(
            example={**PROBLEM_EXAMPLE, "retryable": True}
        ),
        "/paths//orders/post/responses/401/content/application/problem+json: unauthorized: "
        "retryable is False in errors.yaml",
    ),
}


@pytest.mark.parametrize(("edit", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(edit, expected):
    assert expected in problems(edited(edit))


def test_an_operation_id_is_given_once():
    def edit(spec, _post, _order, _request):
        spec["paths"]["/health"]["get"]["operationId"] = "createOrder"

    assert any("createOrder" in problem for problem in problems(edited(edit)))
    ids = spec_diff.incomplete_operations(spec_diff.Spec(edited(edit)))
    assert list(ids) == ["GET /health: operationId createOrder is taken"]


def test_faults_of_the_tables_are_named():
    errors = dict(reversed(ERRORS.items()))
    retcodes = {
        "DONE": {"number": 10009, "meaning": "Done.", "error": "typo", "mt4": 7},
        "REJECT": {"number": 10009, "error": "rejected", "mt4": 7},
    }
    assert list(spec_diff.table_problems(errors, retcodes)) == [
        "errors.yaml: sort it by status",
        "retcodes.yaml: REJECT has number, error, mt4; write number, meaning, error, mt4",
        "retcodes.yaml: number 10009 stands twice",
        "retcodes.yaml: mt4 7 stands twice",
        "retcodes.yaml: DONE: errors.yaml has no code typo",
    ]


# --- the server's own tables ---------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    """Stands for an installed server whose tables agree with ERRORS and RETCODES."""
    kinds = {code: SimpleNamespace(code=code, **row) for code, row in ERRORS.items()}
    names = {name: row["number"] for name, row in RETCODES.items()}
    retcode = SimpleNamespace(__members__=names)
    tables = {"core.errors.CATALOGUE": kinds, "model.retcode.Retcode": retcode}
    for path, table in tables.items():
        name, _, attribute = f"fxsocket_server.{path}".rpartition(".")
        module = ModuleType(name)
        setattr(module, attribute, table)
        monkeypatch.setitem(sys.modules, name, module)
    return SimpleNamespace(kinds=kinds, names=names)


@pytest.mark.usefixtures("server")
def test_equal_tables_pass():
    assert spec_diff.server_problems(ERRORS, RETCODES) == []


def test_differing_tables_are_told(server):
    server.kinds["rejected"].status = 400
    server.names["REJECT"] = 10007
    server.names["ODD"] = 1
    assert spec_diff.server_problems(ERRORS, RETCODES) == [
        "rejected: status is 422 in errors.yaml, 400 in the server's CATALOGUE",
        "REJECT: number is 10006 in retcodes.yaml, 10007 in the server's Retcode",
        "ODD: number is None in retcodes.yaml, 1 in the server's Retcode",
    ]


def test_a_server_that_is_not_installed_is_said(monkeypatch):
    def missing(_name):
        raise ModuleNotFoundError(name="fxsocket_server")

    monkeypatch.setattr(spec_diff, "import_module", missing)
    assert spec_diff.server_problems(ERRORS, RETCODES) is None


def test_a_server_that_lacks_a_library_is_an_error(monkeypatch):
    def missing(_name):
        raise ModuleNotFoundError(name="msgspec")

    monkeypatch.setattr(spec_diff, "import_module", missing)
    with pytest.raises(ModuleNotFoundError):
        spec_diff.server_problems(ERRORS, RETCODES)


# --- command -------------------------------------------------------------------------------------


def test_only_the_unreleased_section_announces():
    assert spec_diff.announces_breaking("# Log\n\n## [Unreleased]\n\n- Breaking: no more x.\n")
    assert spec_diff.announces_breaking("## Unreleased\n### Changed\n- Breaking: no more x.\n")
    assert not spec_diff.announces_breaking("## Unreleased\n- Added x.\n## 1.0\n- Breaking: y.\n")
    assert not spec_diff.announces_breaking("- Breaking: before any section.\n")


def write(root, spec):
    documents = {"openapi": spec, "errors": ERRORS, "retcodes": RETCODES}
    (root / "spec").mkdir(exist_ok=True)
    for name, document in documents.items():
        text = yaml.safe_dump(document, sort_keys=False)
        (root / f"spec/{name}.yaml").write_text(text, encoding="utf-8")


def git(root, *arguments):
    names = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", root, *names, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository of its own without a commit, with a sound spec/; returns its root."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set while a git hook runs
        monkeypatch.delenv(name, raising=False)
    git(tmp_path, "init", "--initial-branch=main")
    write(tmp_path, BASE)
    return tmp_path


def commit(root):
    git(root, "add", "--all")
    git(root, "commit", "--message", "spec")


def without_price(_spec, _post, order, _request):
    del order["properties"]["price"]


@pytest.mark.usefixtures("server")
def test_the_first_version_has_no_base(checkout, capsys):
    assert spec_diff.main(["--root", str(checkout)]) == 0
    assert "first version" in capsys.readouterr().out


@pytest.mark.usefixtures("server")
def test_a_breaking_change_must_be_announced(checkout, capsys):
    commit(checkout)
    write(checkout, edited(without_price))
    assert spec_diff.main(["--root", str(checkout)]) == 1
    said = capsys.readouterr().out
    assert "1 breaking, 0 additive" in said
    assert "BREAKING  Order (answer): field price is gone" in said

    log = checkout / "CHANGELOG.md"
    log.write_text("# Changelog\n\n## Unreleased\n\n- Breaking: orders have no price.\n", "utf-8")
    assert spec_diff.main(["--root", str(checkout)]) == 0


@pytest.mark.usefixtures("server")
def test_a_branch_is_compared_with_where_it_left_main(checkout, capsys):
    commit(checkout)
    git(checkout, "switch", "--create", "topic")
    write(checkout, edited(without_price))
    commit(checkout)
    assert spec_diff.main(["--root", str(checkout)]) == 1
    assert "1 breaking" in capsys.readouterr().out
    assert spec_diff.main(["--root", str(checkout), "--base", "HEAD"]) == 0


@pytest.mark.usefixtures("server")
def test_a_fault_fails_the_command(checkout, capsys):
    write(checkout, edited(lambda s, p, o, r: p.pop("summary")))
    assert spec_diff.main(["--root", str(checkout)]) == 1
    assert "error: POST /orders: summary is missing" in capsys.readouterr().out


def test_the_contract_of_this_repository_holds():
    folder = Path(spec_diff.ROOT) / "spec"
    names = ("openapi", "errors", "retcodes")
    files = {n: spec_diff.parse((folder / f"{n}.yaml").read_text("utf-8")) for n in names}
    assert spec_diff.problems_of(files) == []
    assert spec_diff.server_problems(files["errors"], files["retcodes"]) == []
