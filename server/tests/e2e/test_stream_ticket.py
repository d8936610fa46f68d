"""A ticket from REST to the socket of a real server, as a browser uses it."""

import json
import re

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from fxsocket_server.testkit.process import ServerProcess

KEY = "ticket-key"


@pytest.mark.parametrize("options", [(), ("--stream-process",)])
def test_a_browser_opens_a_stream_with_a_ticket_once(tmp_path, options):
    with ServerProcess(tmp_path / "data", *options, api_key=KEY) as server:
        addresses = server.addresses
        answer = httpx2.post(
            addresses.rest + "/stream/tickets", headers={"Authorization": f"Bearer {KEY}"}
        )
        ticket = answer.json()["ticket"]
        assert re.fullmatch(r"tkt_[0-9A-Za-z]{36}", ticket)
        url = f"{addresses.stream}?ticket={ticket}"
        with connect(url, origin=Origin("http://127.0.0.1:8000")) as stream:
            stream.send(json.dumps({"action": "subscribe", "symbols": ["EURUSD"]}))
            assert json.loads(stream.recv(timeout=30))["type"] == "subscribed"
        with connect(url) as again:
            assert json.loads(again.recv(timeout=30))["code"] == "unauthorized"
            with pytest.raises(ConnectionClosed) as closed:
                again.recv(timeout=30)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4501
