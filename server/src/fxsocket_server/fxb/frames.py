"""FXB/1 frames: a 4-byte big-endian length, then that many bytes of JSON."""

import struct

_LENGTH = struct.Struct(">I")


class FrameError(ValueError):
    """Bytes that are not FXB/1; the text says what is wrong and the session ends."""


def framed(body: bytes) -> bytes:
    """A body as it travels."""
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into bodies; a length that lies is refused before its bytes come."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._received = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are whole now; FrameError for a length of 0 or above the limit."""
        received = self._received
        received += data
        bodies, start = list[bytes](), 0
        while len(received) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(received, start)
            if not 0 < length <= self.limit_bytes:
                raise FrameError(f"a frame of {length} bytes; 1 to {self.limit_bytes} are allowed")
            end = start + _LENGTH.size + length
            if end > len(received):
                break
            bodies.append(bytes(received[start + _LENGTH.size : end]))
            start = end
        del received[:start]
        return bodies
