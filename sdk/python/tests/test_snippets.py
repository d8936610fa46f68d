"""The brief's Python and the README's, as a user runs them: a fresh process, a real socket."""

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fxsocket import FxSocketClient

README = Path(__file__).parents[1] / "README.md"


@contextmanager
def order_server(row):
    """A real HTTP server that fills every order; yields its base URL and the requests it got."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.path, dict(self.headers), body))
            answer = json.dumps(row).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", got
        finally:
            server.shutdown()
            thread.join()


def test_the_briefs_order_runs_unchanged(shared_path, order_row):
    snippet = shared_path("brief", "snippets", "sdk_order.py")
    with order_server(order_row()) as (base_url, got):
        # A proxy that leads nowhere: the key of a local server must not be sent through one.
        env = os.environ | {"FXSOCKET_BASE_URL": base_url, "HTTP_PROXY": "http://127.0.0.1:9"}
        done = subprocess.run(
            [sys.executable, str(snippet)],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.stdout, done.stderr, done.returncode) == ("Filled at 1.0834\n", "", 0)
    ((path, headers, body),) = got
    assert path == "/v1/orders"
    assert headers["Authorization"] == "Bearer your_api_key"
    assert headers["Idempotency-Key"] == body.pop("client_order_id")
    assert body == {"symbol": "EURUSD", "type": "BUY", "volume": 0.1, "sl": 1.072, "tp": 1.095}


def test_a_local_server_is_not_reached_through_a_proxy(order_row, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with order_server(order_row()) as (base_url, got):
        client = FxSocketClient("k", base_url=base_url, max_retries=0)
        client.orders.create(symbol="EURUSD", type="BUY", volume=0.1)
        client.close()
    assert len(got) == 1


def blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_has_examples():
    assert len(blocks()) >= 4


@pytest.mark.parametrize("number", range(len(blocks())))
def test_readme_examples_are_whole_programs_that_read_the_key_from_the_environment(number):
    source = blocks()[number]
    compile(source, f"README block {number}", "exec")
    assert "from fxsocket" in source
    assert "api_key=" not in source
    assert "://" not in source
