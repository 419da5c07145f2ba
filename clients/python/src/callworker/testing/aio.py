"""The fake client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from callworker.aio.client import AsyncClient
from callworker.events import Event
from callworker.job import Job, checked_names
from callworker.reading.aio_iterating import AsyncEvents
from callworker.reading.iterating import Patience
from callworker.testing.installation import Installation
from callworker.testing.outcomes import Outcome, like_the_sandbox
from callworker.testing.reader import Reader
from callworker.testing.tools import Tools

LOOK_SECONDS = 0.01


class AsyncFakeEvents(AsyncEvents):
    """Events of a fake client. The iteration ends when no more can come, unless the client was made with `block`."""

    def __init__(self, make: Callable[[], Reader], timeout: float | None, *, block: bool) -> None:
        self._make, self._block = make, block
        self._timeout, self._durable, self._begun = timeout, False, False

    async def _begin(self) -> None:
        self._reader, self._begun = self._make(), True

    async def _next(self, patience: Patience) -> Event | None:
        if not self._begun:
            await self._begin()
        event = self._reader.take()
        while event is None and self._block and patience.left and not self._reader.ended:
            await asyncio.sleep(LOOK_SECONDS)
            event = self._reader.take()
        return event

    async def close(self) -> None:
        if self._begun:
            self._reader.close()


class AsyncFakeClient(Tools, AsyncClient):
    """An `AsyncClient` for tests of your program. See `FakeClient`; the methods of the test itself are not awaited."""

    def __init__(
        self,
        *,
        outcome: Callable[[Job], Outcome | None] = like_the_sandbox,
        extended: bool = False,
        block: bool = False,
    ) -> None:
        """See `FakeClient`."""
        self.extended, self._block = extended, block
        self._installation = Installation(outcome)

    async def send_checked(self, jobs: Sequence[Mapping[str, str]]) -> None:
        self._accept([dict(job) for job in jobs])

    async def cancel(self, job_id: str, *, account: str | None = None) -> None:
        self._cancel(checked_names(job_id, account))

    def events(
        self, types: str | Iterable[str] = "call.*", *, queue: str | None = None, timeout: float | None = None
    ) -> AsyncEvents:
        return AsyncFakeEvents(lambda: self._reader(types, queue), timeout, block=self._block)

    async def close(self) -> None:
        self._installation.close()
