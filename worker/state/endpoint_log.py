"""What became of each event at an endpoint, by the event's number there. Changes nothing."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any

import redis

from worker.core.events import Status, event_type, rfc3339
from worker.delivery.ports import Destination
from worker.redisio.translation import store_errors
from worker.state import keys
from worker.state.job_webhooks import webhook_of

_CHUNK = 500
"""How many numbers are read in one round trip."""


class State(StrEnum):
    """What became of an event at an endpoint."""

    WAITING = "waiting"
    """It waits for an attempt, or one is in flight."""
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    EXPIRED = "expired"
    """The number was given, and its record is gone: it is older than the records."""
    NOT_GIVEN = "not_given"
    """The endpoint has not come to this number yet."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One number of an endpoint. All but `sequence` and `state` are empty if there is no record.

    `finished_us` is when the job ended, `changed_us` when the state changed last (Unix µs). `attempts` counts those of
    the last round. `why` is the last status, cause or reason.
    """

    sequence: int
    state: State
    job_id: str = ""
    event_id: str = ""
    event_type: str = ""
    finished_us: int = 0
    attempts: int = 0
    why: str = ""
    changed_us: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object: times as RFC 3339, null for what is not known."""
        return {
            "sequence": self.sequence,
            "state": self.state,
            "job": self.job_id or None,
            "event": self.event_id or None,
            "type": self.event_type or None,
            "attempts": self.attempts,
            "why": self.why or None,
            "finished_at": rfc3339(self.finished_us) if self.finished_us else None,
            "changed_at": rfc3339(self.changed_us) if self.changed_us else None,
        }


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of an endpoint's log. `types` are patterns such as `call.*`; empty: all.

    `since_us` is the earliest end of a job (Unix µs). `states` are those to choose from; an event that waits is never
    chosen. `jobs` limits the choice to these ids; None: any.
    """

    types: tuple[str, ...] = ()
    since_us: int = 0
    states: frozenset[State] = frozenset({State.DELIVERED, State.GIVEN_UP})
    jobs: frozenset[str] | None = None

    def has(self, found: Logged) -> bool:
        return (
            found.state in self.states
            and found.finished_us >= self.since_us
            and (not self.types or any(fnmatchcase(found.event_type, pattern) for pattern in self.types))
        )


class EndpointLog:
    """Reads what the records say about one endpoint. Each method may raise StoreUnavailable or WrongKey."""

    def __init__(self, client: redis.Redis, destination: Destination) -> None:
        self._client, self._destination = client, destination
        self._prefix = keys.prefix_of(destination.account)
        self._key = f"{self._prefix}hook-log:{'|'.join(destination)}"

    def between(self, first: int, last: int) -> list[Logged]:
        """Return the numbers from `first` to `last`. Reads each of them."""
        with store_errors():
            rows: Any = self._client.zrangebyscore(self._key, first, last, withscores=True)
            last_given: Any = self._client.hget(
                f"{self._prefix}hook:{'|'.join(self._destination)}", "sequence"
            )
        known = {found.sequence: found for part in _chunks(rows) for found in self._read(part)}
        given = int(last_given or 0)
        return [known.get(number) or _unknown(number, given) for number in range(first, last + 1)]

    def chosen(self, selection: Selection, most: int) -> tuple[list[Logged], int]:
        """Return the `most` oldest events of the selection, oldest first, and how many it has in all.

        Reads the log back to `since_us`: a round trip for each 500 numbers.
        """
        oldest, count = deque[Logged](maxlen=most), 0
        for found in filter(selection.has, chain.from_iterable(self._parts(selection))):
            oldest.append(found)
            count += 1
        return list(reversed(oldest)), count

    def jobs_without(self, jobs: Iterable[str]) -> list[str]:
        """Return those of `jobs` that never had an event for this endpoint, or whose record is gone."""
        known = {job_id.decode() for job_id, _ in self._rows_of(sorted(jobs))}
        return [job_id for job_id in jobs if job_id not in known]

    def _parts(self, selection: Selection) -> Iterator[list[Logged]]:
        """Yield the log in parts, newest first, until a part is older than the selection."""
        for rows in (
            self._newest_rows() if selection.jobs is None else [self._rows_of(sorted(selection.jobs))]
        ):
            part = self._read(rows)
            yield part
            if all(found.finished_us < selection.since_us for found in part):
                return

    def _newest_rows(self) -> Iterator[list[tuple[bytes, float]]]:
        most: float | str = "+inf"
        while True:
            with store_errors():
                rows: Any = self._client.zrevrangebyscore(
                    self._key, most, "-inf", start=0, num=_CHUNK, withscores=True
                )
            if not rows:
                return
            yield rows
            most = f"({int(rows[-1][1])}"

    def _rows_of(self, jobs: Sequence[str]) -> list[tuple[bytes, float]]:
        with store_errors(), self._client.pipeline(transaction=False) as pipeline:
            for job_id in jobs:
                pipeline.zscore(self._key, job_id)
            scores = pipeline.execute()
        rows = [
            (job_id.encode(), score) for job_id, score in zip(jobs, scores, strict=True) if score is not None
        ]
        return sorted(rows, key=lambda row: row[1], reverse=True)

    def _read(self, rows: Sequence[tuple[bytes, float]]) -> list[Logged]:
        """Read the records of numbers. Leaves out those that are gone."""
        names = [f"hook:{self._destination.endpoint_key}", "state", "finished", "event"]
        with store_errors(), self._client.pipeline(transaction=False) as pipeline:
            for job_id, _ in rows:
                pipeline.hmget(f"{self._prefix}job:{job_id.decode()}", names)
            records = pipeline.execute()
        key = self._destination.endpoint_key
        found = (
            _logged(key, job_id.decode(), record) for (job_id, _), record in zip(rows, records, strict=True)
        )
        return [one for one in found if one is not None]


def _chunks(rows: Sequence[tuple[bytes, float]]) -> Iterator[Sequence[tuple[bytes, float]]]:
    return (rows[at : at + _CHUNK] for at in range(0, len(rows), _CHUNK))


def _unknown(number: int, last_given: int) -> Logged:
    return Logged(number, State.EXPIRED if 1 <= number <= last_given else State.NOT_GIVEN)


def _logged(key: str, job_id: str, record: Sequence[bytes | None]) -> Logged | None:
    about, status, finished, event = record
    if about is None or status is None or event is None:
        return None
    found = webhook_of(key, about.decode())
    return Logged(
        sequence=found.sequence,
        state=State(found.state),
        job_id=job_id,
        event_id=json.loads(event)["id"],
        event_type=event_type(Status(status.decode())),
        finished_us=int(finished or 0),
        attempts=found.attempts,
        why=found.why or "",
        changed_us=found.at_us,
    )
