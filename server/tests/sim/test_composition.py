"""Simulated worlds wire a server as `bootstrap.server` does: each part is given the same."""

import ast
import inspect
from types import ModuleType

from fxsocket_server.bootstrap import server as product
from fxsocket_server.testkit.sim import server as simulated

SHARED = (
    "Context",
    "Gateway",
    "GatewayBackend",
    "Keyring",
    "Lane",
    "LinkedAccount",
    "MarketData",
    "StreamHub",
    "TerminalAccounts",
)
WORKERS = "fxsocket_server.workers"
# What a world leaves out: it has no rules and one key, and ends before anything is old.
LEFT_OUT = {
    "KeySync", "RiskWatch", "Rules", "forget_old_rows", "keep_keys", "keep_risk", "keep_usage",
    "save_checkpoints",
}  # fmt: skip
OWN = {
    "StreamHub": {"bounds", "unread_of"},  # a setting; a simulated net
    "Lane": {"9 in order", "10 in order"},  # the product's has rules
}


def given(module: ModuleType, part: str) -> set[str]:
    """What a module gives to a part where it makes it: keywords, and how many come before them."""
    calls = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == part
    ]
    assert calls, f"{module.__name__} makes no {part}"
    call = max(calls, key=lambda call: len(call.args) + len(call.keywords))
    named = {keyword.arg or "**" for keyword in call.keywords}
    return named | {f"{len(call.args)} in order"}


def from_workers(module: ModuleType) -> set[str]:
    """What a module takes from the workers."""
    return {
        name.name
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(WORKERS)
        for name in node.names
    }


def test_every_part_is_given_the_same() -> None:
    for part in SHARED:
        differ = given(simulated, part) ^ given(product, part)
        assert differ <= OWN.get(part, set()), part


def test_the_same_workers_run() -> None:
    assert from_workers(product) - from_workers(simulated) <= LEFT_OUT
    assert from_workers(simulated) <= from_workers(product)
