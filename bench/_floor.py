"""The floor: the least that an answer costs on the same HTTP server.

A raw ASGI app on the settings that the product's REST port runs with. It reads the request's body
and answers fixed bytes, as many as an order has. Run as a script it prints one JSON line when it
is ready and stops on Ctrl-C.
"""

import socket
import sys
from typing import Any

import msgspec
import uvicorn
import uvloop

BODY_BYTES = 560
BODY = b'{"order":"' + b"." * (BODY_BYTES - 12) + b'"}'

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-length", b"%d" % BODY_BYTES),
        (b"content-type", b"application/json"),
    ],
}
_BODY = {"type": "http.response.body", "body": BODY}


async def app(_scope: Any, receive: Any, send: Any) -> None:
    """Read the body, answer the bytes."""
    while (await receive()).get("more_body", False):
        continue
    await send(_START)
    await send(_BODY)


async def _serve() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    ready = {"rest": f"http://127.0.0.1:{listener.getsockname()[1]}"}
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
    await server.serve([listener])


if __name__ == "__main__":
    try:
        uvloop.run(_serve())
    except KeyboardInterrupt:
        sys.exit(0)
