"""`python -m fxsocket_server` is `fxsocket-server`."""

from fxsocket_server.cli import main

main()
