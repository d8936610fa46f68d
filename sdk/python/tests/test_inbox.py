"""The inbox: bounded in bytes, dropping nothing, ending as it should."""

import asyncio

import pytest

from fxsocket import Heartbeat, Unknown
from fxsocket._stream.inbox import Arrived, Inbox


def arrived(number, size=10, event=None):
    return Arrived(event or Unknown(type=str(number), raw={}), size, 1)


def name(taken):
    return taken.event.type


def test_events_come_in_order_and_in_batches(go):
    async def main():
        inbox = Inbox(1000)
        for number in range(5):
            inbox.put(arrived(number))
        assert inbox.held_bytes == 50
        first, rest = await inbox.take(2), await inbox.take(10)
        assert [name(a) for a in first + rest] == list("01234")
        assert inbox.held_bytes == 0

    go(main())


def test_a_full_inbox_makes_the_reader_wait(go):
    async def main():
        inbox = Inbox(25)
        for number in range(3):
            inbox.put(arrived(number))
        assert inbox.is_full()
        assert not inbox.is_full(2)
        waiting = asyncio.create_task(inbox.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await inbox.take(1)
        await waiting
        assert not inbox.is_full()

    go(main())


def test_making_room_wakes_the_reader(go):
    async def main():
        inbox = Inbox(1)
        inbox.put(arrived(1))
        waiting = asyncio.create_task(inbox.room())
        await asyncio.sleep(0)
        inbox.make_room()
        await waiting

    go(main())


def test_unread_heartbeats_are_one(go):
    async def main():
        inbox = Inbox(1000)
        for _ in range(1000):
            inbox.put(arrived(0, event=Heartbeat()))
        inbox.put(arrived(1))
        inbox.put(arrived(0, event=Heartbeat()))
        kinds = [type(a.event).__name__ for a in await inbox.take(10)]
        assert kinds == ["Heartbeat", "Unknown", "Heartbeat"]

    go(main())


def test_a_failure_comes_after_what_is_queued_and_stays(go):
    async def main():
        inbox = Inbox(1000)
        inbox.put(arrived(1))
        inbox.fail(ValueError("over"))
        assert len(await inbox.take(10)) == 1
        for _ in range(2):
            with pytest.raises(ValueError, match="over"):
                await inbox.take(10)

    go(main())


def test_closing_ends_a_waiting_consumer(go):
    async def main():
        inbox = Inbox(1000)
        consumer = asyncio.create_task(inbox.take(1))
        await asyncio.sleep(0)
        inbox.close()
        assert await consumer == []
        assert await inbox.take(1) == []

    go(main())


def test_a_cancelled_take_loses_nothing(go):
    async def main():
        inbox = Inbox(1000)
        consumer = asyncio.create_task(inbox.take(1))
        await asyncio.sleep(0)
        inbox.put(arrived(1))
        consumer.cancel()
        await asyncio.wait([consumer])
        assert len(await inbox.take(1)) == 1

    go(main())
