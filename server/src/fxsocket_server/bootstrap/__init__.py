"""The composition root: settings become a running server; only this part knows every other."""

from fxsocket_server.bootstrap.server import Addresses, Server

__all__ = ["Addresses", "Server"]
