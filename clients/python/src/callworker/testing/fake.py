"""A client that sends nothing: workers, provider and broker are in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from callworker.client import Client
from callworker.events import Event
from callworker.job import Job, checked_names
from callworker.reading.iterating import Events, Patience
from callworker.testing.installation import Installation
from callworker.testing.outcomes import Outcome, like_the_sandbox
from callworker.testing.reader import Reader
from callworker.testing.tools import Tools


class FakeEvents(Events):
    """Events of a fake client. The iteration ends when no more can come, unless the client was made with `block`."""

    def __init__(
        self, installation: Installation, reader: Reader, timeout: float | None, *, block: bool
    ) -> None:
        self._installation, self._reader = installation, reader
        self._timeout, self._durable, self._block = timeout, False, block

    def _next(self, patience: Patience) -> Event | None:
        with self._installation.changed:
            event = self._reader.take()
            while event is None and self._block and patience.left and not self._reader.ended:
                self._installation.changed.wait(patience.left)
                event = self._reader.take()
            return event

    def close(self) -> None:
        self._reader.close()


class FakeClient(Tools, Client):
    """A `Client` for tests of your program. It sends nothing, keeps each job, and lets the test decide how it ends.

        fake = FakeClient()
        sign_up(fake, phone="2125550123")           # your program, which calls enqueue
        (job,) = fake.jobs
        event = fake.fail(job.id, "INVALID_TELEPHONE")

    It checks jobs, ids, conflicts and cancels as callworker does. It knows no limits, and no accounts: every account
    exists.
    """

    def __init__(
        self,
        *,
        outcome: Callable[[Job], Outcome | None] = like_the_sandbox,
        extended: bool = False,
        block: bool = False,
    ) -> None:
        """With `block`, `events` waits for more events as the real client does, for a program that reads in a thread.

        The test ends that with `close`.
        """
        self.extended, self._block = extended, block
        self._installation = Installation(outcome)

    def send_checked(self, jobs: Sequence[Mapping[str, str]]) -> None:
        self._accept([dict(job) for job in jobs])

    def cancel(self, job_id: str, *, account: str | None = None) -> None:
        self._cancel(checked_names(job_id, account))

    def events(
        self, types: str | Iterable[str] = "call.*", *, queue: str | None = None, timeout: float | None = None
    ) -> Events:
        return FakeEvents(self._installation, self._reader(types, queue), timeout, block=self._block)

    def close(self) -> None:
        self._installation.close()
