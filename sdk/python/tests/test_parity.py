"""Two clients, one surface; one package that stands on its own."""

import ast
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import fxsocket
from fxsocket import AsyncFxSocketClient, FxSocketClient
from fxsocket._orders import OrderRequest, order_body
from fxsocket.stream import AsyncStream, Stream

ROOT = Path(__file__).parents[1]
PACKAGE = Path(fxsocket.__file__).parent
DEPENDENCIES = {"httpx2", "msgspec", "websockets"}

blocking, waiting = FxSocketClient("k"), AsyncFxSocketClient("k")
RESOURCES = sorted(name for name in vars(blocking) if not name.startswith("_"))
PAIRS = [
    pytest.param(type(getattr(blocking, name)), type(getattr(waiting, name)), id=name)
    for name in RESOURCES
]
PAIRS += [
    pytest.param(FxSocketClient, AsyncFxSocketClient, id="client"),
    pytest.param(Stream, AsyncStream, id="stream"),
]


def methods(kind: type) -> dict[str, inspect.Signature]:
    """Public methods, with the parameters as anyone sees them."""
    found = inspect.getmembers(kind, inspect.isfunction)
    return {name: inspect.signature(f) for name, f in found if not name.startswith("_")}


def parameters(signature: inspect.Signature) -> list[tuple[str, object, object, str]]:
    return [(p.name, p.kind, p.default, str(p.annotation)) for p in signature.parameters.values()]


def test_every_resource_is_on_both_clients():
    theirs = sorted(name for name in vars(waiting) if not name.startswith("_"))
    assert theirs == sorted(FxSocketClient.__annotations__) == RESOURCES
    assert len(RESOURCES) == 15


@pytest.mark.parametrize(("sync_kind", "async_kind"), PAIRS)
def test_method_for_method_the_same(sync_kind, async_kind):
    ours, theirs = methods(sync_kind), methods(async_kind)
    assert ours.keys() == theirs.keys()
    assert ours
    for name, signature in ours.items():
        assert parameters(signature) == parameters(theirs[name]), name
        assert getattr(sync_kind, name).__doc__ == getattr(async_kind, name).__doc__, name


@pytest.mark.parametrize(("sync_kind", "async_kind"), PAIRS)
def test_every_public_method_says_what_it_does(sync_kind, async_kind):
    assert all(getattr(sync_kind, name).__doc__ for name in methods(sync_kind))


def test_constructors_differ_only_in_what_waits():
    ours, theirs = inspect.signature(FxSocketClient), inspect.signature(AsyncFxSocketClient)
    assert list(ours.parameters) == list(theirs.parameters)
    changed = {n for n, p in ours.parameters.items() if p.default != theirs.parameters[n].default}
    assert changed == {"sleep"}


def test_one_list_of_order_fields():
    fields = set(OrderRequest.__annotations__)
    created = inspect.signature(fxsocket.FxSocketClient("k").orders.create).parameters
    assert fields == set(created)
    required = {name for name, p in created.items() if p.default is inspect.Parameter.empty}
    assert OrderRequest.__required_keys__ == required
    body = order_body({"symbol": "EURUSD", "type": "BUY", "volume": 1, "sl": None}, "id1")
    assert body == {"symbol": "EURUSD", "type": "BUY", "volume": 1, "client_order_id": "id1"}


def test_the_blocking_client_is_made_from_the_asyncio_one():
    spec = importlib.util.spec_from_file_location("make_sync", ROOT / "tools" / "make_sync.py")
    assert spec is not None
    assert spec.loader is not None
    make_sync = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_sync)
    assert make_sync.PACKAGE == PACKAGE
    assert make_sync.stale() == [], "run python sdk/python/tools/make_sync.py"


def imports_of(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = set()
    for node in tree:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_the_package_imports_its_three_dependencies_and_nothing_of_the_server():
    imported = set().union(*(imports_of(path) for path in PACKAGE.rglob("*.py")))
    foreign = imported - set(sys.stdlib_module_names) - {"fxsocket"}
    assert foreign == DEPENDENCIES


def test_only_the_transport_knows_the_http_library():
    users = {p.name for p in PACKAGE.rglob("*.py") if "httpx2" in imports_of(p)}
    assert users == {"transport.py", "client.py"}


def test_importing_loads_no_websocket_library():
    code = "import sys, fxsocket; print([m for m in sys.modules if m.startswith('websockets')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_names_are_there_and_sorted():
    public = [name for name in fxsocket.__all__ if name != "__version__"]
    assert all(hasattr(fxsocket, name) for name in public)
    known = {
        n for n, v in vars(fxsocket).items() if not n.startswith("_") and not inspect.ismodule(v)
    }
    assert known - {"VERSION"} == set(public)


def test_the_version_is_the_distributions():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{fxsocket.__version__}"\n' in text
