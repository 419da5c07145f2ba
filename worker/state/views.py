"""Reads the state and history of one job from the store, for people. Changes nothing.

A view never contains the PIN, and the phone number only masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from worker.core.events import Status, rfc3339
from worker.core.jobs import Job, mask
from worker.core.records import Reason
from worker.core.repeats import OTHER_ACCOUNT
from worker.redisio.runner import store_errors
from worker.state import keys
from worker.state.conflicts import seen_by_job
from worker.state.job_webhooks import JobWebhook, webhooks_of
from worker.state.lanes import LIMIT_FIELDS, Lane
from worker.state.pause import all_paused
from worker.state.steady import steady_us

_STEP = re.compile(r"([0-9]{13}) (\S+) ?(.*)")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a job's history. `at_us` is in Unix microseconds, rounded to whole milliseconds."""

    at_us: int
    name: str
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """Return the step as a JSON object."""
        return {"at": rfc3339(self.at_us), "step": self.name, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a job waits now, since when, and probably until when (Unix microseconds).

    `until_us` is when its slot comes if nothing goes wrong before then. It is None if that depends on an operator, on a
    worker's places or on the end of another call. `ahead` counts the jobs before it in its lane. `hold` is why its
    account is held, or None. `expires_first`: its slot comes after its `expires_at`, even if nothing but the rate holds
    it up.
    """

    reason: Reason
    since_us: int
    until_us: int | None
    ahead: int
    hold: str | None
    expires_first: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the wait as a JSON object; times as RFC 3339."""
        return {
            "reason": self.reason,
            "since": rfc3339(self.since_us),
            "until": None if self.until_us is None else rfc3339(self.until_us),
            "ahead": self.ahead,
            "hold": self.hold,
            "expires_first": self.expires_first,
        }


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is now; times in Unix microseconds. `state` is the ledger's, once the job has ended its final status.

    `sent` counts the requests that were sent, `perhaps_rung` those that may have rung the phone. `conflicts` counts
    other jobs that came under this id and were dropped; the last came at `conflict_us`. `event` is the published event
    once the job has ended, and `webhooks` what became of it at each endpoint. `wait` is set while the job waits.
    """

    id: str
    account: str
    state: str
    country: str | None
    phone: str | None
    note: str | None
    accepted_us: int
    expires_us: int | None
    finished_us: int | None
    sent: int
    perhaps_rung: int
    conflicts: int
    conflict_us: int | None
    wait: Wait | None
    event: dict[str, Any] | None
    history: tuple[Step, ...]
    webhooks: tuple[JobWebhook, ...]

    @property
    def ended(self) -> bool:
        """Whether the job has its final status."""
        return self.state in tuple(Status)

    def as_dict(self) -> dict[str, Any]:
        """Return the view as a JSON object; times as RFC 3339."""
        return {
            "id": self.id,
            "account": self.account,
            "state": self.state,
            "country": self.country,
            "phone": self.phone,
            "note": self.note,
            "accepted_at": rfc3339(self.accepted_us),
            "expires_at": None if self.expires_us is None else rfc3339(self.expires_us),
            "finished_at": None if self.finished_us is None else rfc3339(self.finished_us),
            "attempts": self.sent,
            "perhaps_rung": self.perhaps_rung,
            "conflicts": self.conflicts,
            "last_conflict_at": None if self.conflict_us is None else rfc3339(self.conflict_us),
            "wait": None if self.wait is None else self.wait.as_dict(),
            "event": self.event,
            "history": [step.as_dict() for step in self.history],
            "webhooks": [webhook.as_dict() for webhook in self.webhooks],
        }


class JobViews:
    """Looks jobs up by id. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def find(self, job_id: str) -> JobView | None:
        """Return the job's view, or None if there is no record. Takes two round trips. Raises StoreUnavailable."""
        with store_errors():
            owner: Any = self._client.get(keys.claim(job_id))
            row = self._stranger(job_id) if owner is None else self._row(job_id, owner.decode())
        record = {name.decode(): value.decode() for name, value in row[0].items()}
        return _view(job_id, record, row) if record else None

    def differs(self, job: Job) -> tuple[str, ...]:
        """Compare `job` with the job on record under its id: name the fields that differ, see `worker.core.repeats`.

        Empty if it is the same job, or none is on record. Takes three round trips. Raises StoreUnavailable.
        """
        with store_errors():
            owner: Any = self._client.get(keys.claim(job.id))
            if owner is None or owner.decode() != job.account:
                return OTHER_ACCOUNT if owner else ()
            prefix = keys.prefix_of(job.account)
            found: Any = self._client.hmget(f"{prefix}job:{job.id}", ["state", "job", "digest"])
            long_job: Any = self._client.get(f"{prefix}payload:{job.id}")
        state, packed, digest = found
        if state is None:
            return ()
        return seen_by_job([b"seen", state, packed or long_job or b"", digest or b""], job).differs

    def _stranger(self, job_id: str) -> list[Any]:
        """Read the record of a job whose account does not exist; empty if there is none."""
        with self._client.pipeline(transaction=False) as pipeline:
            for key in keys.strangers(job_id):
                pipeline.hgetall(key)
            return [next(filter(None, pipeline.execute()), {})]

    def _row(self, job_id: str, account: str) -> list[Any]:
        """Read the job's record, its account's limits, where it is in the lane, both clocks, the workers' reports, and
        a long job."""
        prefix = keys.prefix_of(account)
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(f"{prefix}job:{job_id}")
            pipeline.hmget(f"{prefix}limit:{account}", [*LIMIT_FIELDS, "probe_at"])
            pipeline.zrank(f"{prefix}lane:{account}", job_id)
            pipeline.zscore(f"{prefix}lane:{account}", job_id)
            pipeline.zrange(f"{prefix}lane:{account}", 0, 0, withscores=True)
            pipeline.time()
            pipeline.get(keys.CLOCK)
            pipeline.hgetall(keys.WORKERS)
            pipeline.get(f"{prefix}payload:{job_id}")
            return pipeline.execute()


def _view(job_id: str, record: Mapping[str, str], row: list[Any]) -> JobView:
    event = json.loads(record["event"]) if "event" in record else None
    known = event["data"] if event else _subject(job_id, record, row[-1])
    return JobView(
        id=job_id,
        account=record["account"],
        state=record["state"],
        country=known["country"],
        phone=known["phone"],
        note=known["note"],
        accepted_us=int(record["accepted"]),
        expires_us=_moment(record, "expires"),
        finished_us=_moment(record, "finished"),
        sent=int(record.get("sent", 0)),
        perhaps_rung=int(record.get("perhaps", 0)),
        conflicts=int(record.get("conflicts", 0)),
        conflict_us=_moment(record, "conflict_at"),
        wait=_wait(record, row[1:-1]) if record["state"] == "waiting" else None,
        event=event,
        history=_history(record.get("history") or _first_wait(record)),
        webhooks=webhooks_of(record),
    )


def _subject(job_id: str, record: Mapping[str, str], long_job: bytes | None) -> dict[str, Any]:
    job = Job.unpacked(job_id, record["account"], record.get("job") or long_job or b"")
    return {"country": job.country, "phone": mask(job.phone), "note": job.ref}


def _moment(record: Mapping[str, str], name: str) -> int | None:
    return int(record[name]) if record.get(name) else None


def _first_wait(record: Mapping[str, str]) -> str:
    """Return the line that `with_step` in common.lua adds when the first wait is over."""
    why = record.get("why") or record.get("lacks")
    return f"{int(record['accepted']) / 1000:.0f} waiting {why}" if why else ""


def _history(text: str) -> tuple[Step, ...]:
    """Parse a history. Leaves out an old step that was cut off in the middle."""
    found = (_STEP.fullmatch(line) for line in text.splitlines())
    return tuple(Step(int(step[1]) * 1000, step[2], step[3]) for step in found if step)


def _wait(record: Mapping[str, str], row: list[Any]) -> Wait:
    """Say why and until when a job waits, from its lane and its account's limits as they are now.

    They may have changed since the job was parked.
    """
    (*fields, probe_at), rank, score, head, clock, steady, reports = row
    now_us, ahead = steady_us(steady, clock), rank or 0
    lag_us = clock[0] * 1_000_000 + clock[1] - now_us
    ready_us = int(score or now_us)
    lane = Lane.read(now_us, int(head[0][1] if head else ready_us), fields)
    slot_us = max(lane.tat_us - lane.pace.tolerance_us, now_us) + ahead * lane.pace.interval_us
    turn_us = max(ready_us, slot_us)
    reason = lane.reason(workers_paused=all_paused(reports, now_us // 1000))
    if lane.hold is None and ready_us > now_us:
        reason = Reason.BACKOFF
    until_us = turn_us if reason in (Reason.RATE_LIMIT, Reason.BACKOFF) else 0
    if lane.hold is not None:
        until_us = int(probe_at or 0)
    return Wait(
        reason,
        since_us=int(record.get("since", record["accepted"])),
        until_us=until_us + lag_us if until_us else None,
        ahead=ahead,
        hold=lane.hold,
        expires_first=max(turn_us, until_us) + lag_us >= int(record["expires"]),
    )
