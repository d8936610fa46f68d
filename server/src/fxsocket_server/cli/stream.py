"""The command `stream-process`, by which a server runs its stream beside it."""

from typing import Annotated

import msgspec
import typer
import uvloop

from fxsocket_server.bootstrap.logs import configure_logs
from fxsocket_server.bootstrap.streaming import ProcessOptions, run_stream_process


def stream_process(
    options: Annotated[str, typer.Argument(help="What the server that starts it says.")],
) -> None:
    """Be the stream of a server that runs with --stream-process; it starts this by itself."""
    configure_logs()
    uvloop.run(run_stream_process(msgspec.json.decode(options, type=ProcessOptions)))
