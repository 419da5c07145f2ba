"""What a test does with a fake client: see which jobs were sent, and decide how each ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from callworker.errors import BrokerUnavailable
from callworker.events import Event
from callworker.job import Job
from callworker.reading.names import checked_queue, checked_types
from callworker.testing import outcomes
from callworker.testing.installation import DIALLING, WAITING, Installation
from callworker.testing.outcomes import Outcome
from callworker.testing.reader import Reader
from callworker.webhooks import sign


class Tools:
    """The tools that both fake clients have.

    A job waits until one of these methods ends it. Jobs that nobody has decided about end as `outcome` says when the
    program under test reads events, or when the test calls `finish`.
    """

    down = False
    """While this is True, every method raises BrokerUnavailable that needs a broker."""
    _installation: Installation

    @property
    def outcome(self) -> Callable[[Job], Outcome | None]:
        """How jobs end that the test does not decide about, as the sandbox by default. None lets a job wait."""
        return self._installation.outcome

    @outcome.setter
    def outcome(self, decide: Callable[[Job], Outcome | None]) -> None:
        self._installation.outcome = decide

    @property
    def jobs(self) -> list[Job]:
        """The jobs that were sent, in order, without repeats. All their fields are strings, as they were sent."""
        return [record.job for record in self._installation.records.values()]

    @property
    def waiting(self) -> list[Job]:
        """The jobs that have not begun to be dialled."""
        return [record.job for record in self._installation.records.values() if record.state == WAITING]

    @property
    def published(self) -> list[Event]:
        """All events so far."""
        return list(self._installation.published)

    def event(self, job_id: str) -> Event | None:
        """Return the event of a job, None if it has not ended or was not sent."""
        record = self._installation.records.get(job_id)
        return record.event if record is not None else None

    def place(self, job_id: str, ref: str | None = None) -> Event:
        """End a job as `call.placed`. This and the next methods raise LookupError if it has ended or was not sent."""
        return self._installation.end(job_id, outcomes.placed(ref))

    def fail(self, job_id: str, code: str = "INVALID_TELEPHONE", message: str = "") -> Event:
        """End a job as `call.failed`."""
        return self._installation.end(job_id, outcomes.failed(code, message))

    def unknown(self, job_id: str) -> Event:
        """End a job as `call.unknown`: the phone may have rung."""
        return self._installation.end(job_id, outcomes.unknown())

    def expire(self, job_id: str) -> Event:
        """End a job as `call.expired`."""
        return self._installation.end(job_id, outcomes.expired())

    def reject(
        self, job_id: str, code: str = "UNKNOWN_ACCOUNT", fields: Mapping[str, str] | None = None
    ) -> Event:
        """End a job as `call.rejected`: UNKNOWN_ACCOUNT, DESTINATION_BLOCKED or INVALID_JOB."""
        return self._installation.end(job_id, outcomes.rejected(code, fields))

    def dial(self, job_id: str) -> None:
        """Let a job begin to be dialled. From then on it cannot be canceled."""
        self._installation.open(job_id).state = DIALLING

    def finish(self) -> list[Event]:
        """End all jobs that wait, as `outcome` says, and return their events."""
        return self._installation.finish()

    def webhook(
        self, event: Event, secret: str, *, sent_at: float | None = None
    ) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of the webhook that brings an event, signed, for a test client of your framework.

        `sent_at` is in Unix seconds, by default now.
        """
        body = json.dumps(event.raw, ensure_ascii=False, separators=(",", ":")).encode()
        moment = int(time.time() if sent_at is None else sent_at)
        published = self._installation.published
        return body, {
            "content-type": "application/json",
            "user-agent": "callworker/test",
            "webhook-id": event.id,
            "webhook-timestamp": str(moment),
            "webhook-signature": sign(secret, event.id, moment, body),
            "callworker-sequence": str(published.index(event) + 1 if event in published else 1),
        }

    def _accept(self, jobs: Sequence[Mapping[str, str]]) -> list[str]:
        self._reach()
        for fields in jobs:
            self._installation.accept(fields)
        return [fields["id"] for fields in jobs]

    def _cancel(self, names: Mapping[str, str]) -> None:
        self._reach()
        self._installation.cancel(names["id"], names.get("account"))

    def _reader(self, types: str | Iterable[str], queue: str | None) -> Reader:
        self._reach()
        name = None if queue is None else checked_queue(queue)
        return Reader(self._installation, checked_types(types), name)

    def _reach(self) -> None:
        if self.down:
            raise BrokerUnavailable("the broker cannot be reached: the test says so")
