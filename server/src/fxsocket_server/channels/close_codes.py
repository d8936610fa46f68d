"""Why the server closes a stream, as the close code says it.

Codes below 4500 ask the client to connect again; from 4500 on that would not help. A violation of
the WebSocket protocol itself is closed with the code that RFC 6455 has for it.
"""

from enum import IntEnum


class CloseCode(IntEnum):
    """The stream's own close codes."""

    RESTART = 4000
    SLOW_READER = 4008
    SUPERSEDED = 4009
    UNAUTHORIZED = 4501
    FORBIDDEN = 4503
    PROTOCOL_ERROR = 4506


# RFC 6455 7.4 and the IANA registry: 1004 to 1006 and 1015 never stand in a frame.
_REGISTERED = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))
_FREE = range(3000, 5000)


def may_close(code: int) -> bool:
    """Whether a code may stand in a close frame."""
    return code in _REGISTERED or code in _FREE
