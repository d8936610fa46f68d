"""Simulated worlds bite: each planted bug breaks the promise that it should, within a few seeds."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from fxsocket_server.connectors.bridge.connector import BridgeConnector
from fxsocket_server.connectors.terminal.terminal import Terminal
from fxsocket_server.gateway.changes import Change
from fxsocket_server.gateway.delivery import DeliveryGuard
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.model.facts import Lookup, LookupState, TerminalHistory
from fxsocket_server.testkit.sim.runner import run_seeds
from fxsocket_server.testkit.sim.world import Outcome

SEEDS = 120  # at most: each bug shows within the first third of them


class Broken(Exception):
    """A promise was broken; nothing more needs to run."""


def broken_within(seeds: int) -> set[str]:
    """The promises that the first failing seed breaks."""
    broken: set[str] = set()

    def look(outcome: Outcome) -> None:
        broken.update(violation.invariant for violation in outcome.violations)
        if broken:
            raise Broken

    with suppress(Broken):
        run_seeds(range(1, seeds + 1), look)
    return broken


def publish_before_commit(lane: Lane, change: Change) -> "asyncio.Future[None]":
    lane._publish(change)
    return lane.journal.append(change, lambda _: None)


def never(*_: Any) -> None:
    return None


async def no_history(*_: Any) -> TerminalHistory:
    return TerminalHistory()


def begun_is_not_executed(terminal: Terminal, tag: str, since_ms: int) -> Lookup:
    found = lookup(terminal, tag, since_ms)
    return Lookup(state=LookupState.NONE) if found.state is LookupState.STARTED else found


lookup = Terminal.lookup


@pytest.mark.parametrize(
    ("owner", "name", "bug", "promise"),
    [
        (Lane, "commit", publish_before_commit, "I7"),
        (Lane, "_by_its_key", never, "I2"),
        (DeliveryGuard, "claim", never, "I1"),
        (BridgeConnector, "history", no_history, "I6"),
        (Terminal, "lookup", begun_is_not_executed, "I5"),
    ],
    ids=[
        "published before it is durable",
        "a key's answer is not looked up",
        "lost answers are not kept for a retry",
        "what happened unseen is not read",
        "begun counts as not executed",
    ],
)
def test_a_planted_bug_breaks_its_promise(
    owner: type, name: str, bug: Any, promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, bug)
    assert promise in broken_within(SEEDS)
