"""Faults of a simulated terminal as clients send and read them: lots instead of 1e-8 lots."""

from collections.abc import Iterable

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from fxsocket_server.broker.faults import SCENARIOS, DelayShape, Fault, scenario
from fxsocket_server.core import limits
from fxsocket_server.model.units import lots_of, volume_of


class FaultRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /sim/faults: a scenario, settings of one's own, or both."""

    scenario: str | None = None
    delay_ms: int | UnsetType = UNSET
    delay_shape: DelayShape | UnsetType = UNSET
    retcode: int | None | UnsetType = UNSET
    lose_reply: bool | UnsetType = UNSET
    freeze: bool | UnsetType = UNSET
    disconnect: bool | UnsetType = UNSET
    partial_volume: float | None | UnsetType = UNSET
    price_jump_points: int | UnsetType = UNSET
    spread_points: int | UnsetType = UNSET
    trade_disabled: bool | UnsetType = UNSET
    off_quotes: bool | UnsetType = UNSET
    duplicate_events: bool | UnsetType = UNSET
    reorder_events: bool | UnsetType = UNSET
    rollover_spread_points: int | UnsetType = UNSET
    weekend_gap_points: int | UnsetType = UNSET
    times: int | None | UnsetType = UNSET
    seed: int | UnsetType = UNSET


class FaultView(Struct, frozen=True, kw_only=True):
    """One fault in force, and for how many more trade commands."""

    scenario: str | None
    delay_ms: int
    delay_shape: DelayShape
    retcode: int | None
    lose_reply: bool
    freeze: bool
    disconnect: bool
    partial_volume: float | None
    price_jump_points: int
    spread_points: int
    trade_disabled: bool
    off_quotes: bool
    duplicate_events: bool
    reorder_events: bool
    rollover_spread_points: int
    weekend_gap_points: int
    times: int | None
    seed: int


class FaultsView(Struct, frozen=True):
    """The faults in force, and the scenarios that there are."""

    data: list[FaultView]
    scenarios: list[str]
    next_cursor: str | None = None


def fault_of(request: FaultRequest) -> Fault:
    """The fault that a client means; raises FaultError when there is no such scenario."""
    settings = asdict(request)
    name = settings.pop("scenario")
    given = {field: value for field, value in settings.items() if value is not UNSET}
    if given.get("partial_volume") is not None:
        given["partial_volume"] = _volume_of(given["partial_volume"])
    return Fault(**given) if name is None else scenario(name, **given)


def _volume_of(lots: float) -> int:
    """A volume in 1e-8 lots; one that cannot be becomes 0, which no fault takes."""
    return volume_of(lots) if 0 < lots < limits.NUMBER_MAX else 0


def faults_view(faults: Iterable[Fault]) -> FaultsView:
    """Faults as a client reads them."""
    return FaultsView([_fault_view(fault) for fault in faults], list(SCENARIOS))


def _fault_view(fault: Fault) -> FaultView:
    volume = fault.partial_volume
    changed = {
        "scenario": fault.scenario or None,
        "partial_volume": None if volume is None else lots_of(volume),
    }
    return FaultView(**(asdict(fault) | changed))
