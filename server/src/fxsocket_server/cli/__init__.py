"""The command line: `fxsocket-server demo` and `serve`."""

from fxsocket_server.cli.app import main

__all__ = ["main"]
