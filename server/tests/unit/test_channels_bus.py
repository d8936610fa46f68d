"""The in-process bus: order, wildcards, failures that stay where they are, requests."""

import asyncio
from collections.abc import Callable

import pytest

from fxsocket_server.channels.bus import InProcessBus


class Heard:
    """A bus whose handlers write down what they hear."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, object]] = []
        self.errors: list[tuple[str, str]] = []
        self.bus = InProcessBus(lambda topic, error: self.errors.append((topic, str(error))))

    def subscribe(self, name: str, topic: str):
        return self.bus.subscribe(topic, lambda message: self.messages.append((name, message)))


def test_topics_and_wildcards_hear_in_the_order_of_subscription():
    heard = Heard()
    heard.subscribe("all", "ticks.*")
    heard.subscribe("one", "ticks.acc_1")
    heard.subscribe("late", "ticks.*")
    heard.subscribe("other kind", "events.*")
    heard.bus.publish("ticks.acc_1", 1)
    heard.bus.publish("ticks.acc_2", 2)
    heard.bus.publish("quotes.acc_1", 3)
    assert heard.messages == [("all", 1), ("one", 1), ("late", 1), ("all", 2), ("late", 2)]


def test_a_subscription_made_after_a_first_message_hears_the_next():
    heard = Heard()
    heard.bus.publish("ticks.acc_1", 1)
    heard.subscribe("late", "ticks.acc_1")
    heard.bus.publish("ticks.acc_1", 2)
    assert heard.messages == [("late", 2)]


def test_an_ended_subscription_hears_nothing_more_and_may_end_twice():
    heard = Heard()
    end = heard.subscribe("first", "ticks.acc_1")
    heard.subscribe("second", "ticks.acc_1")
    end()
    end()
    heard.bus.publish("ticks.acc_1", 1)
    assert heard.messages == [("second", 1)]


def test_a_handler_can_end_another_while_a_message_is_under_way():
    heard = Heard()
    ends: list[Callable[[], None]] = []
    heard.bus.subscribe("ticks.acc_1", lambda message: ends[0]())
    ends.append(heard.subscribe("ended", "ticks.acc_1"))
    heard.bus.publish("ticks.acc_1", 1)
    assert heard.messages == []


def test_a_failing_handler_hurts_nobody_else():
    heard = Heard()

    def fail(message: object) -> None:
        raise RuntimeError(f"cannot take {message}")

    heard.bus.subscribe("ticks.*", fail)
    heard.subscribe("next", "ticks.*")
    heard.bus.publish("ticks.acc_1", 7)
    heard.bus.publish("ticks.acc_1", 8)
    assert heard.messages == [("next", 7), ("next", 8)]
    assert heard.errors == [("ticks.acc_1", "cannot take 7"), ("ticks.acc_1", "cannot take 8")]


def test_what_a_handler_publishes_comes_after_what_it_is_handling():
    heard = Heard()

    def react(message: object) -> None:
        if message == "cause":
            heard.bus.publish("ticks.acc_1", "effect")

    heard.bus.subscribe("ticks.acc_1", react)
    heard.subscribe("behind", "ticks.acc_1")
    heard.bus.publish("ticks.acc_1", "cause")
    assert heard.messages == [("behind", "cause"), ("behind", "effect")]


def test_requests_get_plain_and_awaited_answers():
    bus = Heard().bus

    async def doubled(message: object) -> object:
        await asyncio.sleep(0)
        return (message, message)

    async def ask() -> list[object]:
        bus.respond("plain.acc_1", lambda message: [message])
        bus.respond("awaited.acc_1", doubled)
        return [await bus.request("plain.acc_1", 1), await bus.request("awaited.acc_1", 2)]

    assert asyncio.run(ask()) == [[1], (2, 2)]


def test_a_request_needs_exactly_one_responder():
    bus = Heard().bus
    end = bus.respond("orders.acc_1", lambda message: message)
    with pytest.raises(ValueError, match=r"'orders\.acc_1' are answered already"):
        bus.respond("orders.acc_1", lambda message: message)
    end()
    with pytest.raises(LookupError, match=r"nobody answers requests on 'orders\.acc_1'"):
        asyncio.run(bus.request("orders.acc_1", 1))


def test_a_failing_responder_fails_its_request_only():
    heard = Heard()

    def fail(message: object) -> object:
        raise ValueError("no")

    heard.bus.respond("orders.acc_1", fail)
    with pytest.raises(ValueError, match="no"):
        asyncio.run(heard.bus.request("orders.acc_1", 1))
    assert heard.errors == []
