"""What a client had not taken of what was written to it when its connection ended."""

import asyncio
import fcntl
import socket
import struct
import termios

from msgspec import Struct

_TCP_CLOSE = 7  # a state of TCP_INFO: closed, and no end of the stream came before


class Unread(Struct, frozen=True):
    """`reset` says that the other end dropped the connection: nobody knows what it had read.

    `unconfirmed_bytes` are the last ones written that its system had not confirmed.
    """

    reset: bool = False
    unconfirmed_bytes: int = 0


def unread_of(transport: asyncio.Transport) -> Unread:
    """What the system tells of a connection that ends; nothing where it does not."""
    sock = transport.get_extra_info("socket")
    return Unread(reset=_is_reset(sock), unconfirmed_bytes=_unconfirmed(sock))


def _is_reset(sock: socket.socket) -> bool:
    info = getattr(socket, "TCP_INFO", None)  # picows keeps the loop's own word to itself
    if info is None:
        return False
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, info, 1)[0] == _TCP_CLOSE
    except OSError:
        return False


def _unconfirmed(sock: socket.socket) -> int:
    try:
        told = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    (count,) = struct.unpack("i", told)
    return int(count)
