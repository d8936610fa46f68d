"""The faults of `--fault`, in force on simulated accounts from their start."""

from collections.abc import Iterable

from fxsocket_server.broker.faults import Fault, FaultError
from fxsocket_server.core.codec import convert
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.faults import FaultRequest, fault_of
from fxsocket_server.gateway.ports import FaultSwitch
from fxsocket_server.settings import SettingsError


def put_faults(texts: Iterable[str], switch: FaultSwitch) -> None:
    """Put faults in force; SettingsError names option and fix.

    Each is a scenario, `NAME[:KEY=VALUE,...]`, or settings of its own, `KEY=VALUE[,...]`.
    """
    for text in texts:
        try:
            switch.put_fault(_fault_of(text))
        except (FaultError, Problem) as error:
            raise SettingsError(f"--fault {text}: {error}") from None


def _fault_of(text: str) -> Fault:
    name, _, rest = text.partition(":")
    if "=" in name:
        scenario, rest = {}, text
    else:
        scenario = {"scenario": name}
    pairs = [item.partition("=") for item in rest.split(",") if item.strip()]
    settings = {key.strip(): value.strip() for key, _, value in pairs}
    return fault_of(convert({**scenario, **settings}, FaultRequest, from_text=True))
