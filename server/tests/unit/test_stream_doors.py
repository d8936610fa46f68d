"""Tickets and origins: the rules alone."""

import random

import pytest

from fxsocket_server.core import limits
from fxsocket_server.security.origins import is_origin, may_open
from fxsocket_server.security.principal import Principal, Scope
from fxsocket_server.security.tickets import TicketBook, TicketMessage, ticket_digest

WHO = Principal(
    user_id="usr", key_id="key", scope=Scope.READ, account_ids=None, default_account_id=None
)


def given(book: TicketBook, ticket: str, now_ms: float) -> None:
    book.put(TicketMessage(ticket_digest(ticket), WHO), now_ms)


def test_a_ticket_opens_once_and_in_time():
    book = TicketBook()
    given(book, "a", 0)
    given(book, "b", 0)
    assert book.redeem("c", 1) is None
    assert book.redeem("a", limits.STREAM_TICKET_MS - 1) == WHO
    assert book.redeem("a", limits.STREAM_TICKET_MS - 1) is None
    assert book.redeem("b", limits.STREAM_TICKET_MS) is None
    assert len(book) == 0


def test_the_oldest_ticket_makes_room():
    book = TicketBook(tickets_max=3)
    for n in range(5):
        given(book, str(n), n)
    assert [book.redeem(str(n), 5) is not None for n in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_no_ticket_is_kept_past_its_time_and_none_opens_twice(rng: random.Random):
    book, now, used = TicketBook(), 0.0, set()
    born: dict[str, float] = {}
    for n in range(2_000):
        now += rng.expovariate(1 / 100)
        if rng.random() < 0.5:
            given(book, str(n), now)
            born[str(n)] = now
        else:
            ticket = str(rng.randrange(n + 1))
            fresh = ticket in born and now - born[ticket] < limits.STREAM_TICKET_MS
            assert (book.redeem(ticket, now) is not None) == (fresh and ticket not in used)
            used.add(ticket)
    assert len(book) <= sum(now - at < limits.STREAM_TICKET_MS for at in born.values())


@pytest.mark.parametrize(
    ("origin", "host", "is_own"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8001", True),
        ("https://FX.example.com", "fx.example.com", True),
        ("http://[::1]:8000", "[::1]:8001", True),
        ("https://evil.example.com", "fx.example.com", False),
        ("https://fx.example.com.evil.com", "fx.example.com", False),
        ("null", "fx.example.com", False),
        ("null", "", False),
        ("", "", False),
        ("http://[", "[", False),
        ("file://", "fx.example.com", False),
    ],
)
def test_pages_of_the_own_host_and_no_others(origin: str, host: str, is_own: bool):
    assert may_open(origin, host, ()) is is_own
    assert may_open(origin, host, ("*",))


def test_an_allowed_origin_is_allowed_whole():
    allowed = ("https://app.example.com:8443",)
    assert may_open("https://App.example.com:8443", "other", allowed)
    assert not may_open("https://app.example.com", "other", allowed)
    assert not may_open("http://app.example.com:8443", "other", allowed)


@pytest.mark.parametrize("text", ["*", "https://app.example.com", "http://[::1]:3000"])
def test_what_may_be_allowed(text: str):
    assert is_origin(text)


@pytest.mark.parametrize(
    "text",
    ["", "app.example.com", "https://", "https://a/b", "ftp://a", "https://u@a", "https://a:x",
     "null", "https://a b/", "https://a?x"],
)  # fmt: skip
def test_what_is_no_origin(text: str):
    assert not is_origin(text)
