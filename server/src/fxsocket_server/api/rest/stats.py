"""/v1/stats: what an account's closed trades add up to."""

from starlette.requests import Request
from starlette.responses import Response

from fxsocket_server.api.request import json_response, lane_of, text_parameter
from fxsocket_server.api.rest.history import done_query
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.stats import GROUPS, statistics


async def get(request: Request) -> Response:
    """GET /stats."""
    lane = lane_of(request)
    group_by = _groups(text_parameter(request, "group_by"))
    query = done_query(request, lane)
    await lane.settled()
    return json_response(await statistics(lane, query, group_by))


def _groups(text: str | None) -> tuple[str, ...]:
    """`group_by=magic,symbol`: each word once."""
    names = tuple(word.strip() for word in text.split(",")) if text else ()
    if len(set(names)) < len(names) or not set(names) <= set(GROUPS):
        raise Problem(
            "validation_error",
            f"group_by must be some of {', '.join(GROUPS)}, each once",
            pointer="?group_by",
        )
    return names
