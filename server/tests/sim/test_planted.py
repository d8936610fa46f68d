"""Simulated worlds bite: each planted bug breaks the promise that it should, within a few seeds."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fxsocket_server.channels.event_log import EventCursor
from fxsocket_server.connectors.bridge.connector import BridgeConnector
from fxsocket_server.connectors.terminal.terminal import Terminal
from fxsocket_server.fxb.messages import Req, Res
from fxsocket_server.gateway.changes import Change
from fxsocket_server.gateway.commands import Answer, Running
from fxsocket_server.gateway.delivery import DeliveryGuard
from fxsocket_server.gateway.lane import Lane
from fxsocket_server.gateway.ports import Unreachable
from fxsocket_server.gateway.restart import Restart
from fxsocket_server.gateway.retries import Retries
from fxsocket_server.model.facts import Lookup, LookupState, TerminalHistory
from fxsocket_server.storage.terminal_ledger import TerminalLedger
from fxsocket_server.testkit.sim.runner import run_seeds
from fxsocket_server.testkit.sim.world import Outcome

SEEDS = 300  # at most


class Broken(Exception):
    """A promise was broken; nothing more needs to run."""


def is_broken_within(seeds: int, promise: str) -> bool:
    """Whether a promise is broken by one of the first seeds."""

    def look(outcome: Outcome) -> None:
        if promise in {violation.invariant for violation in outcome.violations}:
            raise Broken

    try:
        run_seeds(range(1, seeds + 1), look)
    except Broken:
        return True
    return False


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
answer = Terminal.answer
ask = BridgeConnector.lookup
open_ledger = TerminalLedger.__init__
rewind = EventCursor.rewind


async def silence_is_not_executed(connector: BridgeConnector, tag: str, since_ms: int) -> Lookup:
    try:
        return await ask(connector, tag, since_ms)
    except Unreachable:
        return Lookup(state=LookupState.NONE)


def never_expired(terminal: Terminal, request: Req, *, expired: bool) -> Iterator[Res]:
    return answer(terminal, request, expired=False)


async def answered_before_durable(
    lane: Lane, running: Running, change: Change, given: Answer
) -> None:
    running.concluded = True
    change.command = lane.stored(running, given)
    _ = lane.commit(change)


async def nothing_to_do(*_: Any) -> None:
    return None


def unsynced(ledger: TerminalLedger, path: Path, *, synced: bool = False) -> None:
    open_ledger(ledger, path, synced=False)


def one_too_far(cursor: EventCursor[Any], after: int) -> None:
    rewind(cursor, after)
    cursor.position += 1


@pytest.mark.parametrize(
    ("owner", "name", "bug", "promise"),
    [
        (Lane, "commit", publish_before_commit, "I7"),
        (Retries, "_by_its_key", never, "I2"),
        (DeliveryGuard, "claim", never, "I1"),
        (BridgeConnector, "history", no_history, "I6"),
        (Terminal, "lookup", begun_is_not_executed, "I5"),
        (BridgeConnector, "lookup", silence_is_not_executed, "I5"),
        (Terminal, "answer", never_expired, "I4"),
        (Lane, "_commit_outcome", answered_before_durable, "I5"),
        (Restart, "_reject", nothing_to_do, "liveness"),
        (Restart, "_take_up", never, "liveness"),
        (TerminalLedger, "__init__", unsynced, "I6"),
        (EventCursor, "rewind", one_too_far, "I12"),
    ],
    ids=[
        "published before it is durable",
        "a key's answer is not looked up",
        "lost answers are not kept for a retry",
        "what happened unseen is not read",
        "begun counts as not executed",
        "a terminal that is away counts as one that never began",
        "a terminal does not look at deadlines",
        "answered before it is durable",
        "a lost intent is left open",
        "commands of before a restart are not taken up",
        "a power cut takes what was told",
        "a resume leaves out an event",
    ],
)
def test_a_planted_bug_breaks_its_promise(
    owner: type, name: str, bug: Any, promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, bug)
    assert is_broken_within(SEEDS, promise)
