"""The stream as a process of its own, killed under its clients while orders go on."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from fxsocket_server.testkit.process import ServerProcess

WATCHDOG_S = 60
HEADERS = {"Authorization": "Bearer test-key"}
ORDER = {"symbol": "EURUSD", "type": "BUY", "volume": 0.01}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A demo whose stream runs beside it."""
    with ServerProcess(tmp_path / "data", "--stream-process") as running:
        yield running


def stream_pid(server: ServerProcess) -> int:
    """The process of the stream: the server's only child."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def opened(server: ServerProcess) -> ClientConnection:
    """A connection; while the stream is started again, it waits in the server's queue."""
    return connect(
        server.addresses.stream, additional_headers=HEADERS, open_timeout=WATCHDOG_S,
        compression=None,
    )  # fmt: skip


def until(socket: ClientConnection, *kinds: str) -> tuple[dict, list[dict]]:
    """The next frame of some types, and what came before it."""
    before: list[dict] = []
    while True:  # bounded by the watchdog
        frame = json.loads(socket.recv(timeout=WATCHDOG_S))
        if frame["type"] in kinds:
            return frame, before
        before.append(frame)


def place(server: ServerProcess) -> dict:
    """A market order over REST."""
    url = server.addresses.rest + "/orders"
    answer = requests.post(url, json=ORDER, headers=HEADERS, timeout=WATCHDOG_S)
    assert answer.status_code == 200, answer.text
    order: dict = answer.json()
    return order


def test_a_killed_stream_comes_back_while_orders_go_on_and_clients_resume_without_a_hole(
    server: ServerProcess,
) -> None:
    seqs: list[int] = []
    with opened(server) as socket:
        socket.send(json.dumps({"action": "ping", "id": "go"}))
        until(socket, "pong")
        for _ in range(3):
            place(server)
            for event in ("order.pending", "order.filled"):
                frame, _ = until(socket, "order_update")
                assert frame["event"] == event
                seqs.append(frame["seq"])
        killed = stream_pid(server)
        os.kill(killed, signal.SIGKILL)
        orders = [place(server) for _ in range(3)]
        with pytest.raises(ConnectionClosed):
            until(socket, "never")
    orders.append(place(server))
    with opened(server) as socket:
        socket.send(json.dumps({"action": "resume", "after": seqs[-1]}))
        resumed, missed = until(socket, "resumed")
        orders.append(place(server))
        filled, live = until(socket, "order_update")
        live.append(filled)
    assert stream_pid(server) != killed
    frames = [frame for frame in missed if frame["type"] == "order_update"]
    assert [f["order"]["id"] for f in frames] == [o["id"] for o in orders[:4] for _ in range(2)]
    assert [f["prev_seq"] for f in frames] == [seqs[-1], *(f["seq"] for f in frames[:-1])]
    assert resumed["after"] == seqs[-1]
    assert live[-1]["order"]["id"] == orders[4]["id"]


def test_orders_and_their_retries_over_the_socket_cross_the_processes(
    server: ServerProcess,
) -> None:
    with opened(server) as socket:
        body = {"action": "order.place", "id": "1", "order": {**ORDER, "client_order_id": "once"}}
        socket.send(json.dumps(body))
        first, before = until(socket, "result", "error")
        assert [f["event"] for f in before if f["type"] == "order_update"] == [
            "order.pending",
            "order.filled",
        ]
        socket.send(json.dumps({**body, "id": "2"}))
        second, _ = until(socket, "result", "error")
        assert (first["replayed"], second["replayed"]) == (False, True)
        assert first["order"] == second["order"]
        socket.send(
            json.dumps({"action": "order.place", "id": "3", "order": {**ORDER, "volume": 0.001}})
        )
        refused, _ = until(socket, "result", "error")
        assert (refused["code"], refused["id"]) == ("invalid_volume", "3")


def test_a_stopping_server_parts_from_the_clients_of_its_stream_process(
    server: ServerProcess,
) -> None:
    with opened(server) as socket:
        socket.send(json.dumps({"action": "ping"}))
        until(socket, "pong")
        pid = stream_pid(server)
        assert server.stop() == 0
        with pytest.raises(ConnectionClosed) as closed:
            until(socket, "never")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000
    assert not Path(f"/proc/{pid}").exists()


def test_a_stream_process_whose_server_was_killed_says_so_and_ends(server: ServerProcess) -> None:
    with opened(server) as socket:
        socket.send(json.dumps({"action": "subscribe", "symbols": ["EURUSD"]}))
        until(socket, "tick")
        server.kill()
        stale, _ = until(socket, "stale")
        assert (stale["stale"], stale["reason"]) == (True, "bus_lost")
        with pytest.raises(ConnectionClosed) as closed:
            until(socket, "never")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000
