"""/v1/sim/faults: what goes wrong on a simulated account."""

from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import account_of, body_of, json_response, lane_of
from fxsocket_server.broker.faults import FaultError
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.faults import FaultRequest, fault_of, faults_view
from fxsocket_server.gateway.ports import FaultSwitch
from fxsocket_server.model.enums import AccountKind


def _switch_of(request: Request) -> FaultSwitch:
    """The fault switch of the account; raises `sim_only` where there is none."""
    linked = account_of(request)
    is_terminal = linked.account.kind is AccountKind.TERMINAL
    if not is_terminal:
        lane_of(request)  # raises when the account is not connected
    if is_terminal or linked.fault_switch is None:
        raise Problem(
            "sim_only",
            f"account {linked.account.id} is a real terminal; name one of kind SIM or REPLAY",
        )
    return linked.fault_switch


def _in_force(switch: FaultSwitch) -> Response:
    return json_response(faults_view(switch.faults_in_force()))


async def put_fault(request: Request) -> Response:
    """POST /sim/faults."""
    body = body_of(request, FaultRequest)
    switch = _switch_of(request)
    try:
        switch.put_fault(fault_of(body))
    except FaultError as error:
        raise Problem("validation_error", str(error), pointer="/" + error.field) from None
    return _in_force(switch)


async def get_faults(request: Request) -> Response:
    """GET /sim/faults."""
    return _in_force(_switch_of(request))


async def clear_faults(request: Request) -> Response:
    """DELETE /sim/faults."""
    switch = _switch_of(request)
    switch.clear_faults()
    return _in_force(switch)
