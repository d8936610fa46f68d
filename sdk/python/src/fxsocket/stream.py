"""The classes behind `client.stream()`; `fxsocket.events` is what they yield."""

from fxsocket._async.stream import AsyncStream
from fxsocket._sync.stream import Stream

__all__ = ["AsyncStream", "Stream"]
