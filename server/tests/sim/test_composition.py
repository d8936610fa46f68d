"""Simulated worlds wire a server as `bootstrap` does: each part is given the same."""

import ast
from pathlib import Path

from fxsocket_server.bootstrap import server as product
from fxsocket_server.testkit.sim import server as simulated

WORLD = [Path(simulated.__file__)]
PRODUCT = sorted(Path(product.__file__).parent.glob("*.py"))
# What an order passes through; a simulated world adds the net that it has in place of sockets.
ORDER_PATH = (
    "Gateway",
    "GatewayBackend",
    "Lane",
    "LinkedAccount",
    "MarketData",
    "TerminalAccounts",
)
AROUND_IT = ("Context", "Keyring", "StreamHub")
OWN = {"StreamHub": {"unread_of"}, "Lane": {"9 in order", "10 in order"}}  # the rules of risk
# What keeps the order path's promises; a world has no rules, one key, and nothing that grows old.
KEEPS = {"EquitySampler", "keep_checkpoints", "keep_equity", "settle_commands", "watch_space"}


def nodes(files: list[Path]) -> list[ast.AST]:
    """The syntax of some modules."""
    return [node for file in files for node in ast.walk(ast.parse(file.read_text()))]


def given(files: list[Path], part: str) -> set[str]:
    """What is given to a part where it is made: keywords, and how many come before them."""
    calls = [n for n in nodes(files) if isinstance(n, ast.Call) and ast.unparse(n.func) == part]
    assert calls, f"nobody makes a {part}"
    call = max(calls, key=lambda call: len(call.args) + len(call.keywords))
    return {str(keyword.arg) for keyword in call.keywords} | {f"{len(call.args)} in order"}


def workers(files: list[Path]) -> set[str]:
    """What is taken from the workers."""
    taken = [
        n for n in nodes(files) if isinstance(n, ast.ImportFrom) and ".workers." in str(n.module)
    ]
    return {name.name for node in taken for name in node.names}


def test_what_an_order_passes_through_is_given_the_same() -> None:
    for part in ORDER_PATH:
        assert given(WORLD, part) ^ given(PRODUCT, part) <= OWN.get(part, set()), part


def test_what_is_around_it_is_given_nothing_else() -> None:
    for part in AROUND_IT:
        assert given(WORLD, part) - given(PRODUCT, part) <= OWN.get(part, set()), part


def test_the_workers_of_the_order_path_run() -> None:
    assert workers(WORLD) == KEEPS
    assert workers(PRODUCT) >= KEEPS
