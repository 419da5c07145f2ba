"""The asyncio client reads events from real brokers as the other one does, and a canceled wait loses none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest

from callworker import AsyncClient, BrokerRefused, BrokerUnavailable
from callworker.reading.aio_iterating import AsyncEvents
from tests.contract import test_client_reading as blocking
from tests.contract.test_client_reading import ORDERS, SECONDS
from tests.processes import free_port
from tests.rabbit import GuardedNode
from worker.delivery.results import ResultsQueue

broker, publish = blocking.broker, blocking.publish
on_every_broker = pytest.mark.parametrize("broker", ["redis", "amqp"], indirect=True)


async def ids(events: AsyncEvents, number: int) -> list[str]:
    """Read so many events."""
    return [(await anext(events)).data.id for _ in range(number)]


@on_every_broker
def test_each_reader_gets_every_event(broker: str, publish: Callable[..., None]) -> None:
    """Events come in order, each once, to each reader; the loop ends when nothing comes."""

    async def main() -> None:
        client = AsyncClient(broker)
        async with client.events(timeout=SECONDS) as one, client.events(["call.failed", "job.*"]) as two:
            publish("a", "b")
            publish("c", kind="call.failed")
            publish("d", kind="job.conflict")
            assert (await ids(one, 3), await ids(two, 2)) == (["a", "b", "c"], ["c", "d"])
            assert await one.wait("e", 0) is None
        async with client.events(timeout=0) as events:
            assert [event async for event in events] == []

    asyncio.run(main())


@on_every_broker
def test_event_is_done_when_the_next_is_asked_for(broker: str, publish: Callable[..., None]) -> None:
    """An event whose loop body failed comes again, and readers of a queue share its events."""

    async def main() -> None:
        client = AsyncClient(broker)
        async with client.events(queue=ORDERS, timeout=SECONDS) as first:
            publish("a", "b", "c")
            assert await ids(first, 2) == ["a", "b"]
            async with client.events(queue=ORDERS, timeout=SECONDS) as second:
                assert await ids(second, 1) == ["c"]
        async with client.events(queue=ORDERS, timeout=SECONDS) as events:
            assert sorted(await ids(events, 2)) == ["b", "c"]

    asyncio.run(main())


@on_every_broker
@pytest.mark.parametrize("queue", [None, ORDERS])
def test_canceled_wait_loses_no_event(broker: str, queue: str | None, publish: Callable[..., None]) -> None:
    """A program that waits for events and for something else besides gets every event once."""

    async def main() -> None:
        got: list[str] = []
        async with AsyncClient(broker).events(queue=queue) as events:
            for number in range(40):
                await asyncio.to_thread(publish, f"job-{number}")
                waiting = asyncio.ensure_future(anext(events))
                # As many turns of the loop as it takes to be at another place each time.
                for _ in range(number):
                    await asyncio.sleep(0)
                waiting.cancel()
                with suppress(asyncio.CancelledError):
                    got.append((await waiting).data.id)
            while len(got) < 40:
                got.append((await asyncio.wait_for(anext(events), SECONDS)).data.id)
        assert got == [f"job-{number}" for number in range(40)]

    asyncio.run(main())


@on_every_broker
def test_reader_connects_again(broker: str, publish: Callable[..., None]) -> None:
    """After a lost connection, or a queue that was deleted under it, it goes on."""

    async def main() -> None:
        async with AsyncClient(broker).events(timeout=SECONDS) as events:
            source: Any = events._source
            if broker.startswith("redis"):
                await source._client.delete(source._queue.name)
            else:
                await source._connection.close()
            number = 0
            while not await _came(events, f"again-{number}"):
                number += 1
                await asyncio.to_thread(publish, f"again-{number}")

    asyncio.run(main())


async def _came(events: AsyncEvents, name: str) -> bool:
    try:
        return await events.wait(name, 0.2) is not None
    except BrokerUnavailable:
        return False


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_absent_broker_raises(scheme: str) -> None:
    """A program that cannot begin to listen is told at once."""

    async def main() -> None:
        with pytest.raises(BrokerUnavailable):
            await anext(AsyncClient(f"{scheme}://127.0.0.1:{free_port()}").events())

    asyncio.run(main())


def test_rights_that_the_page_asks_for_are_enough_on_rabbitmq(node: GuardedNode) -> None:
    """A subscriber needs the rights that the page asks for. A user without them is told so."""

    with closing(ResultsQueue(node.url())) as results:
        results.prepare()

    async def main() -> None:
        async with AsyncClient(node.url("subscriber")).events():
            pass
        with pytest.raises(BrokerRefused):
            await anext(AsyncClient(node.url("porter")).events())

    asyncio.run(main())
    node.empty()
