"""Workers, provider and broker in memory: the jobs that were sent, how each ended, and the events of that."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from callworker.events import Event
from callworker.job import Job
from callworker.reading.names import matches
from callworker.testing.outcomes import Outcome, expired, like_the_sandbox

VISIBLE_DIGITS = 4
_NOT_COMPARED = {"id", "expires_at", "traceparent", "tracestate"}
WAITING, DIALLING = "waiting", "dialling"


@dataclass
class Record:
    """One job and its state: waiting, dialling, or how it ended."""

    job: Job
    accepted_at: str
    state: str = WAITING
    event: Event | None = None


class Queue:
    """A queue on the exchange of results. An event that was taken is in hand until the next one is asked for."""

    def __init__(self, types: Sequence[str], waiting: Sequence[Event] = ()) -> None:
        self.types, self.waiting = types, list(waiting)

    def wants(self, event: Event) -> bool:
        return any(matches(one, event.type) for one in self.types)


class Installation:
    """Takes jobs as workers do. A job waits until a test says how it ends, or somebody reads events. Thread-safe."""

    def __init__(self, outcome: Callable[[Job], Outcome | None] = like_the_sandbox) -> None:
        self.outcome = outcome
        self.records: dict[str, Record] = {}
        self.published: list[Event] = []
        self.closings = 0
        self.changed = threading.Condition(threading.RLock())
        self._withdrawn: dict[str, str | None] = {}
        self._queues: dict[str, Queue] = {}

    def accept(self, given: Mapping[str, str]) -> None:
        """Take a job, from its fields as they are sent. One id is one job, unless its account was unknown."""
        job = Job(**given)
        job_id = given["id"]
        with self.changed:
            known = self.records.get(job_id)
            if known is not None and not _has_error(known, "UNKNOWN_ACCOUNT"):
                self._compare(known, job)
                return
            record = self.records[job_id] = Record(job, _now())
            withdrawn = self._withdrawn.pop(job_id, "")
            if withdrawn in (None, job.account):
                self._end(record, expired("CANCELED"))
            elif job.expires_at is not None and _moment(job.expires_at) <= datetime.now(UTC):
                self._end(record, expired())
            self.changed.notify_all()

    def cancel(self, job_id: str, account: str | None) -> None:
        """Take a job back if it waits, as docs/decisions/0024 says."""
        with self.changed:
            record = self.records.get(job_id)
            if record is None:
                self._withdrawn[job_id] = account
            elif account not in (None, record.job.account):
                self._not_canceled(job_id, account, "not_found")
            elif record.state == WAITING:
                self._end(record, expired("CANCELED"))
            elif not _has_error(record, "CANCELED"):
                self._not_canceled(job_id, record.job.account, record.state)

    def end(self, job_id: str, outcome: Outcome) -> Event:
        """End a job that has not ended. Raises LookupError if there is none."""
        with self.changed:
            return self._end(self.open(job_id), outcome)

    def open(self, job_id: str) -> Record:
        """Return the record of a job that has not ended. Raises LookupError."""
        record = self.records.get(job_id)
        if record is None:
            raise LookupError(f"no job {job_id!r} was sent; sent were: {', '.join(self.records) or 'none'}")
        if record.event is not None:
            raise LookupError(f"job {job_id!r} has ended as {record.event.type}")
        return record

    def finish(self, most: int | None = None) -> list[Event]:
        """End the jobs that wait, as `outcome` says, at most `most` of them. Returns their events."""
        with self.changed:
            ended: list[Event] = []
            for record in list(self.records.values()):
                outcome = self.outcome(record.job) if record.state == WAITING and len(ended) != most else None
                if outcome is not None:
                    ended.append(self._end(record, outcome))
            return ended

    def queue(self, types: Sequence[str], name: str | None) -> Queue:
        """Return a queue: a new one, or the one with that name, which has all events since the beginning."""
        with self.changed:
            if name in self._queues:
                queue = self._queues[name]
                queue.types = [*queue.types, *types]
                return queue
            key = name or uuid.uuid4().hex
            made = self._queues[key] = Queue(types)
            if name is not None:
                made.waiting += [event for event in self.published if made.wants(event)]
            return made

    def forget(self, queue: Queue) -> None:
        """Remove a queue of one reader's own."""
        with self.changed:
            self._queues = {name: one for name, one in self._queues.items() if one is not queue}

    def close(self) -> None:
        """End all readers."""
        with self.changed:
            self.closings += 1
            self.changed.notify_all()

    def _compare(self, known: Record, job: Job) -> None:
        """Tell a conflict."""
        names = [one.name for one in fields(Job) if one.name not in _NOT_COMPARED]
        differs = [name for name in names if getattr(known.job, name) != getattr(job, name)]
        foreign = known.job.account != job.account
        if differs:
            self._publish("job.conflict", {
                "id": job.id,
                "account": job.account,
                "status": None if foreign else known.state,
                # Of a job that has ended, workers know no more than that it was another one.
                "fields": ["account"] if foreign else [] if known.event else differs,
                "error": {"code": "CONFLICT", "message": "the id belongs to another job"},
            })  # fmt: skip

    def _not_canceled(self, job_id: str, account: str | None, state: str) -> None:
        error = {"code": "NOT_CANCELED", "message": f"the job was not canceled: {state}"}
        self._publish(
            "job.not_canceled", {"id": job_id, "account": account or "", "status": state, "error": error}
        )

    def _end(self, record: Record, outcome: Outcome) -> Event:
        job, now = record.job, _now()
        phone = str(job.phone)
        data = {
            "id": job.id,
            "account": job.account,
            "note": job.ref,
            "country": job.country,
            "phone": "*" * (len(phone) - VISIBLE_DIGITS) + phone[-VISIBLE_DIGITS:],
            "attempts": outcome.attempts,
            "accepted_at": record.accepted_at,
            "finished_at": now,
            **outcome.facts,
        }
        record.state = outcome.status
        record.event = self._publish(f"call.{outcome.status}", data, now)
        return record.event

    def _publish(self, kind: str, data: Mapping[str, Any], now: str | None = None) -> Event:
        event = Event.of({
            "id": f"evt_{uuid.uuid4().hex}",
            "type": kind,
            "timestamp": now or _now(),
            "data": dict(data),
        })  # fmt: skip
        with self.changed:
            self.published.append(event)
            for queue in self._queues.values():
                if queue.wants(event):
                    queue.waiting.append(event)
            self.changed.notify_all()
        return event


def _has_error(record: Record, code: str) -> bool:
    error = record.event and record.event.error
    return bool(error and error.code == code)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(text: str | datetime) -> datetime:
    # Python knows no leap seconds.
    return text if isinstance(text, datetime) else datetime.fromisoformat(text.upper().replace(":60", ":59"))
