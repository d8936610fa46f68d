"""An account at the standard broker, and what tests ask of it."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from fxsocket_server.broker import profile as profile_module
from fxsocket_server.broker.engine import Broker
from fxsocket_server.broker.profile import parse_profile
from fxsocket_server.model.enums import (
    Action,
    Filling,
)
from fxsocket_server.model.facts import TradeRequest
from fxsocket_server.model.retcode import Retcode
from fxsocket_server.model.units import LOT

STANDARD = Path(profile_module.__file__).parent / "profiles" / "standard.toml"
PROFILE = parse_profile(STANDARD.read_text(encoding="utf-8"), STANDARD.name)
NOW = 1_736_337_600_000  # Wednesday 2025-01-08 12:00 UTC, 14:00 server time
DAY = 86_400_000
BID, ASK = 108_340, 108_348


def broker(deposit=1_000_000, *, terms=None, **euro):
    """An account with EURUSD at 1.08340 / 1.08348; `euro` changes the symbol's rules."""
    specs = dict(PROFILE.symbols)
    specs["EURUSD"] = replace(specs["EURUSD"], **euro)
    made = Broker(replace(PROFILE.terms(), **(terms or {})), specs)
    if deposit:
        made.deposit(deposit, NOW)
    made.on_tick("EURUSD", NOW, BID, ASK)
    return made


def request(action=Action.DEAL, **fields):
    base: dict[str, Any] = {"symbol": "EURUSD", "volume": LOT // 10, "filling": Filling.FOK}
    if action is Action.PENDING:
        base["filling"] = Filling.RETURN
    return TradeRequest(action=action, command_id="c", deadline_ms=0, **(base | fields))


def ask(made, action=Action.DEAL, *, at=NOW, **fields):
    return made.request(request(action, **fields), at)


def opened(made, **fields):
    report = ask(made, **fields)
    assert report.retcode == Retcode.DONE, report.comment
    return report.order_ticket


def placed(made, **fields):
    report = ask(made, Action.PENDING, **fields)
    assert report.retcode == Retcode.PLACED, report.comment
    return report.order_ticket


def refused(made, retcode, comment, action=Action.DEAL, **fields):
    """The request is refused with this retcode and comment, and changes nothing."""
    before = made.snapshot()
    report = ask(made, action, **fields)
    assert (report.retcode, report.comment) == (retcode, comment)
    assert (report.facts, report.order_ticket) == ((), None)
    assert replace(made.snapshot(), time_ms=before.time_ms) == before
