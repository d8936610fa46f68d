"""Attacks on a server's resources: it cuts them off, and a healthy client notices nothing."""

import selectors
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from fxsocket_server.api.protocol import ConnectionBounds
from fxsocket_server.core import limits

from .client import Api
from .world import WATCHDOG_S, World

ATTACKERS = 500
HEAD = "POST /v1/orders HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server that is quick to lose its patience."""
    bounds = ConnectionBounds(head_read_ms=400, close_ms=400)
    world = World(tmp_path_factory.mktemp("world"), bounds=bounds)
    yield world
    world.close()
    assert world.failures == []


def dial(world: World) -> socket.socket:
    host, port = world.root.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=WATCHDOG_S)


def all_of(line: socket.socket) -> bytes:
    """What the server says until it closes."""
    data = b""
    try:
        while more := line.recv(65_536):
            data += more
    except ConnectionResetError:
        pass
    return data


def cut_one_by_one(lines: list[socket.socket]) -> Iterator[bytes]:
    """What each was told, as soon as the server ends its connection; all dribble meanwhile."""
    open_lines = {line.fileno(): line for line in lines}
    with selectors.DefaultSelector() as selector:
        for number in open_lines:
            selector.register(number, selectors.EVENT_READ)
        while open_lines:  # bounded by the server's patience, and the test's
            for line in open_lines.values():
                with suppress(OSError):  # cut: what it was told is still to be read
                    line.send(b"X")
            for key, _ in selector.select(timeout=0.01):
                selector.unregister(key.fd)
                yield all_of(open_lines.pop(key.fd))


def test_dribbling_crowds_are_cut_and_spare_a_healthy_client(
    world: World, connect: Callable[..., Api]
) -> None:
    secret = world.add_key(accounts=(world.account,))
    steady = connect(secret)
    steady.get("/account")
    with ExitStack() as stack:
        lines = [stack.enter_context(dial(world)) for _ in range(ATTACKERS)]
        for line in lines:
            line.sendall(HEAD.encode())
        told = []
        for answer in cut_one_by_one(lines):
            told.append(answer)
            if len(told) % 25 == 0:
                assert steady.place(volume=0.01)["status"] == "FILLED"
                assert connect(secret).get("/account")["id"] == world.account
                assert world.do(lambda: len(world.rest.doorkeeper)) <= (
                    limits.CONNECTIONS_UNKNOWN + ATTACKERS // 25 + 2
                )
    assert len(told) == ATTACKERS
    heads = [answer[9:12] for answer in told]
    assert set(heads) <= {b"408", b"503", b""}  # b"": reset before the answer could be read
    evicted = ATTACKERS - limits.CONNECTIONS_UNKNOWN
    assert heads.count(b"408") + heads.count(b"") >= limits.CONNECTIONS_UNKNOWN - evicted
    whole = next(answer for answer in told if answer[9:12] == b"408")
    assert b'"code":"request_timeout"' in whole
    for header in (b"x-request-id: req_", b"ratelimit-policy: ", b"connection: close"):
        assert header in whole


def test_a_hundred_declared_megabytes_are_not_waited_for(world: World, api: Api) -> None:
    key = world.add_key(accounts=(world.account,))
    head = HEAD + "Content-Length: 104857600\r\n"
    with dial(world) as line:
        line.sendall(f"{head}\r\n".encode())
        assert line.recv(12) == b"HTTP/1.1 401"
        while True:  # bounded by the server's patience
            try:
                line.sendall(b"b" * 65_536)
            except OSError:
                break
    with dial(world) as line:
        line.sendall(f"{head}Authorization: Bearer {key}\r\n\r\n".encode())
        sent = 0
        while sent <= limits.BODY_DRAIN_BYTES:
            sent += line.send(b"b" * 65_536)
        assert line.recv(12) == b"HTTP/1.1 413"
        assert all_of(line)
    assert api.get("/account")


def test_a_body_that_dribbles_is_408(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_READ_MS", 100)
    key = world.add_key(accounts=(world.account,))
    with ExitStack() as stack:
        lines = [stack.enter_context(dial(world)) for _ in range(50)]
        for line in lines:
            head = f"{HEAD}Content-Length: 100\r\nAuthorization: Bearer {key}\r\n\r\n"
            line.sendall(head.encode())
        told = [answer[9:12] for answer in cut_one_by_one(lines)]
    assert told == [b"408"] * 50
    assert api.get("/account")


def test_what_is_not_http_is_told_in_the_api_s_own_form(world: World) -> None:
    with dial(world) as line:
        line.sendall(b"EHLO example.org\r\n\r\n")
        answer = all_of(line)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"application/problem+json" in answer
    assert b'"code":"bad_request"' in answer


def test_an_endless_head_is_431(world: World) -> None:
    with dial(world) as line:
        line.sendall(b"GET /v1/account HTTP/1.1\r\nX: " + b"a" * limits.HEADER_BYTES)
        answer = all_of(line)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in answer


def test_too_many_headers_are_431(api: Api) -> None:
    few = {f"X-{number}": "y" for number in range(limits.HEADER_COUNT - 10)}
    assert api.call("GET", "/account", headers=few).status_code == 200
    many = {f"X-{number}": "y" for number in range(limits.HEADER_COUNT)}
    problem = api.refused("headers_too_large", "GET", "/account", headers=many)
    assert str(limits.HEADER_COUNT) in problem["detail"]


def test_a_flood_without_a_key_is_429_and_cut(world: World, connect: Callable[..., Api]) -> None:
    healthy = connect(world.add_key(accounts=(world.account,)))
    stranger = connect("fxs_test_guess")
    told = [stranger.call("GET", "/account") for _ in range(limits.UNKNOWN_BURST + 10)]
    codes = [answer.status_code for answer in told]
    left = codes.count(401)
    assert 0 < left <= limits.UNKNOWN_BURST
    assert codes == [401] * left + [429] * (len(codes) - left)
    assert told[0].headers["ratelimit-policy"].startswith('"without-key";q=')
    assert told[-1].headers["retry-after"] == "1"
    assert told[-1].headers["connection"] == "close"
    assert healthy.get("/account")  # the same address, but with a key
    world.clock.advance(1_000)
    assert stranger.call("GET", "/account").status_code == 401
