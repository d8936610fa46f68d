"""/v1/stream/tickets."""

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import (
    context_of,
    json_response,
    principal_of,
)
from fxsocket_server.core import limits
from fxsocket_server.gateway.views import time_text
from fxsocket_server.security.tickets import TicketMessage, ticket_digest


class TicketView(Struct, frozen=True):
    """A ticket, shown once."""

    ticket: str
    expires_at: str


async def create(request: Request) -> Response:
    """POST /stream/tickets."""
    gateway, principal = context_of(request).gateway, principal_of(request)
    ticket = gateway.ids.make("tkt_") + gateway.ids.make("")  # one id alone has 65 random bits
    message = TicketMessage(ticket_digest(ticket), principal)
    gateway.bus.publish("tickets." + principal.key_id, message)
    expires_ms = gateway.clock.wall_ms() + limits.STREAM_TICKET_MS
    return json_response(TicketView(ticket, time_text(expires_ms)))
