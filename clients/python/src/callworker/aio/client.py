"""Sends jobs from asyncio, and takes them back.

from callworker import AsyncClient, Job

async with AsyncClient("redis://localhost:6379/0") as client:
    await client.enqueue(Job("acme", "1", "2125550123", "4711", id="order-4711"))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from callworker.aio.link import link_to
from callworker.client import CHUNK
from callworker.events import Event
from callworker.job import JobLike, checked, checked_all, checked_names
from callworker.message import Message, cancel_message, verify_message
from callworker.reading.aio_connecting import AsyncReading
from callworker.reading.aio_iterating import AsyncEvents


class AsyncClient:
    """The `Client` for asyncio: one connection, which the tasks of an event loop use in turn.

    In another event loop, and after a fork, it connects again. If a task is cancelled while it sends, its jobs may have
    been sent or not, and the connection is made again.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        timeout: float = 5.0,
        extended: bool = False,
        queue_type: str | None = None,
        replicas: int = 0,
    ) -> None:
        """See `Client`. RabbitMQ needs the extra `rabbitmq-asyncio`. Raises ConfigurationError."""
        self.extended = extended
        self._make = partial(link_to, url, timeout, queue_type, replicas)
        self._link = self._make()
        self._reading = AsyncReading(url, timeout, queue_type)
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self, job: JobLike) -> dict[str, str]:
        """See `Client.check`."""
        return checked(job, extended=self.extended)

    async def enqueue(self, job: JobLike) -> str:
        """See `Client.enqueue`."""
        fields = self.check(job)
        await self.send_checked([fields])
        return fields["id"]

    async def enqueue_many(
        self, jobs: Iterable[JobLike], *, progress: Callable[[int], object] | None = None
    ) -> list[str]:
        """See `Client.enqueue_many`."""
        fields = checked_all(jobs, self.check)
        for start in range(0, len(fields), CHUNK):
            part = fields[start : start + CHUNK]
            await self.send_checked(part)
            if progress is not None:
                progress(start + len(part))
        return [each["id"] for each in fields]

    async def send_checked(self, jobs: Sequence[Mapping[str, str]]) -> None:
        """See `Client.send_checked`."""
        await self._send([verify_message(fields) for fields in jobs])

    async def cancel(self, job_id: str, *, account: str | None = None) -> None:
        """See `Client.cancel`."""
        await self._send([cancel_message(checked_names(job_id, account))])

    def events(
        self,
        types: str | Iterable[str] = "call.*",
        *,
        queue: str | None = None,
        timeout: float | None = None,
    ) -> AsyncEvents:
        """Listen to the events of all jobs, over a connection of its own. See `Client.events`.

            async with client.events() as events:
                async for event in events: ...

        It listens from the beginning of `async with` on, which raises BrokerUnavailable if the broker is away. Without
        `async with` it listens from the first step of the loop on, and until `close`. If a task is cancelled while it
        waits for an event, none is lost.
        """
        return self._reading.async_events(types, queue, timeout)

    async def call(self, job: JobLike, *, timeout: float | None = 60.0) -> Event | None:
        """Send one job and wait for the event that tells how it ended. See `Client.call`."""
        async with self.events() as events:
            return await events.wait(await self.enqueue(job), timeout)

    async def close(self) -> None:
        """Close the connection; the next job makes a new one."""
        async with self._turn():
            await self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, messages: Sequence[Message]) -> None:
        async with self._turn():
            await self._link.send(messages)

    def _turn(self) -> asyncio.Lock:
        """Return the lock of the running event loop. A connection of another loop can be neither used nor closed."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._lock, self._link = loop, asyncio.Lock(), self._make()
        return self._lock
