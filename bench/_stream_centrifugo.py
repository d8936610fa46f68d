"""Centrifugo as a peer of the stream bench.

`serve PROGRAM FOLDER` becomes the server, `publish PORT` feeds it. Centrifugo has no publisher
inside: ticks come over its HTTP API, a flood in batches of 64, at a pace one by one. The publisher
runs on the client's core and is not charged to the server, its requests are. Lines on standard
input of `publish` set the pace, as in _stream_peers.py.
"""

import http.client
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

from _stream_peers import tick

CHANNEL = "ticks"
BATCH_TICKS = 64
QUEUE_BYTES = 256 * 1024 * 1024  # a reader is not cut off within a run
# One text message with both commands; readers answer no pings, so none are sent within a run.
SUBSCRIBE = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"' + CHANNEL + '"}}'


def serve(program: str, folder: str) -> None:
    """Write a configuration, say where it will listen, and become centrifugo."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = {
        "http_server": {"address": "127.0.0.1", "port": str(port)},
        "client": {
            "insecure": True,
            "queue_max_size": QUEUE_BYTES,
            "ping_interval": "300s",
            "pong_timeout": "100s",
        },
        "http_api": {"insecure": True},
        "channel": {"without_namespace": {"allow_subscribe_for_client": True}},
        "log": {"level": "error"},
    }
    path = Path(folder) / "centrifugo.json"
    path.write_text(json.dumps(config))
    address = f"ws://127.0.0.1:{port}/connection/websocket"
    sys.stdout.write(json.dumps({"rest": address, "stream": address}) + "\n")
    sys.stdout.flush()
    os.execv(program, (program, f"--config={path}"))


class Publisher:
    """Publishes over one kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port)

    def publish(self, count: int) -> None:
        """Publish ticks made now; returns when centrifugo has them all."""
        commands = ",".join(
            f'{{"publish":{{"channel":"{CHANNEL}","data":{tick()}}}}}' for _ in range(count)
        )
        if count == 1:
            path, body = "/api/publish", f'{{"channel":"{CHANNEL}","data":{tick()}}}'
        else:
            path, body = "/api/batch", f'{{"commands":[{commands}]}}'
        self._http.request("POST", path, body, {"Content-Type": "application/json"})
        answer = self._http.getresponse()
        text = answer.read()
        if answer.status != http.HTTPStatus.OK or b'"error"' in text:
            sys.exit(f"centrifugo refused a publication: {text[:200]!r}")


def publish(port: int) -> None:
    """Publish at the pace that standard input sets, until it ends."""
    pace = ["0"]

    def obey() -> None:
        for line in sys.stdin:
            pace[0] = line.strip()
        pace[0] = "end"

    threading.Thread(target=obey, daemon=True).start()
    publisher, text, due_s = Publisher(port), "0", 0.0
    while text != "end":
        if text != pace[0]:
            text, due_s = pace[0], time.monotonic()
        if text == "flood":
            publisher.publish(BATCH_TICKS)
        elif text != "end" and float(text):
            due_s += 1 / float(text)
            time.sleep(max(0.0, due_s - time.monotonic()))
            publisher.publish(1)
        else:
            time.sleep(0.01)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3])
    else:
        publish(int(sys.argv[2]))
