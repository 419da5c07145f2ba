"""Reads the state and history of one job from the store, for people. Changes nothing.

A view never contains the PIN, and the phone number only masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import redis

from worker.core.jobs import Job, mask
from worker.core.records import Reason
from worker.core.repeats import content
from worker.redisio.translation import store_errors
from worker.state import keys
from worker.state.claims import Ended, Owner
from worker.state.conflicts import known_by_claim, seen_by_job
from worker.state.job_view import CANCELED, JobView, Step, Wait
from worker.state.job_webhooks import webhooks_of
from worker.state.lanes import LIMIT_FIELDS, Lane
from worker.state.pause import no_worker_dials
from worker.state.steady import steady_us

_STEP = re.compile(r"([0-9]{13}) (\S+) ?(.*)")


class JobViews:
    """Looks jobs up by id. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def find(self, job_id: str) -> JobView | None:
        """Return the job's view, or None if nothing is known of it. Raises StoreUnavailable.

        Takes two round trips, for a waiting job three, and a fourth with a write if no worker has asked the store for
        long.
        """
        with store_errors():
            owner = self._owner(job_id)
            if owner is not None and owner.noted:
                return _canceled(job_id, owner.account)
            row = self._stranger(job_id) if owner is None else self._row(job_id, owner.account)
        record = {name.decode(): value.decode() for name, value in row[0].items()}
        if owner is not None and record.get("state") == CANCELED:
            return _canceled(job_id, owner.account)
        if record:
            waits = record["state"] == "waiting"
            wait = _wait(record, row[1:-1], no_worker_dials(self._client)) if waits else None
            return _view(job_id, record, row[-1], wait)
        return _rest(job_id, owner.account, owner.ended) if owner and owner.ended else None

    def differs(self, job: Job) -> tuple[str, ...]:
        """Compare `job` with the job on record under its id: name the fields that differ, see `worker.core.repeats`.

        Empty if it is the same job, or none is on record. Takes three round trips. Raises StoreUnavailable.
        """
        with store_errors():
            owner = self._owner(job.id)
            known = (
                None if owner is None else known_by_claim(owner, job.id, job.account, lambda: content(job))
            )
            if owner is None or known is not None:
                return () if known is None else known.differs
            prefix = keys.prefix_of(job.account)
            found: Any = self._client.hmget(f"{prefix}job:{job.id}", ["state", "job", "digest"])
            long_job: Any = self._client.get(f"{prefix}payload:{job.id}")
        state, packed, digest = found
        if state is None:
            return ()
        return seen_by_job([b"seen", state, packed or long_job or b"", digest or b""], job).differs

    def _owner(self, job_id: str) -> Owner | None:
        claim: Any = self._client.get(keys.claim(job_id))
        owner = None if claim is None else Owner.read(claim)
        if owner is None or not owner.account or not keys.ends_in_shards():
            return owner
        end: Any = self._client.get(keys.end(job_id, owner.account))
        return owner if end is None else Owner.read(end)

    def _stranger(self, job_id: str) -> list[Any]:
        """Read the record of a job whose account does not exist; empty if there is none."""
        with self._client.pipeline(transaction=False) as pipeline:
            for key in keys.strangers(job_id):
                pipeline.hgetall(key)
            return [next(filter(None, pipeline.execute()), {})]

    def _row(self, job_id: str, account: str) -> list[Any]:
        """Read the job's record, its account's limits, where it is in the lane, both clocks, a long job."""
        prefix = keys.prefix_of(account)
        # A transaction would be refused by a Redis that is full.
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(f"{prefix}job:{job_id}")
            pipeline.hmget(f"{prefix}limit:{account}", [*LIMIT_FIELDS, "probe_at"])
            pipeline.zrank(f"{prefix}lane:{account}", job_id)
            pipeline.zscore(f"{prefix}lane:{account}", job_id)
            pipeline.zrange(f"{prefix}lane:{account}", 0, 0, withscores=True)
            pipeline.time()
            pipeline.get(keys.clock(prefix))
            pipeline.get(f"{prefix}payload:{job_id}")
            return pipeline.execute()


def _canceled(job_id: str, account: str) -> JobView:
    """Show what is known of a job that was canceled before it came."""
    return JobView(job_id, account, CANCELED, None, None)


def _rest(job_id: str, account: str, ended: Ended) -> JobView:
    """Show what is left of a job an hour after its end."""
    return JobView(job_id, account, ended.status, ended.at_ms * 1000, ended.event_id)


def _view(job_id: str, record: Mapping[str, str], long_job: bytes | None, wait: Wait | None) -> JobView:
    event = json.loads(record["event"]) if "event" in record else None
    known = event["data"] if event else _subject(job_id, record, long_job)
    return JobView(
        id=job_id,
        account=record.get("account") or known["account"],
        state=record["state"],
        country=known["country"],
        phone=known["phone"],
        note=known["note"],
        accepted_us=_moment(record, "accepted") or _unix_us(known["accepted_at"]),
        expires_us=_moment(record, "expires"),
        finished_us=_moment(record, "finished"),
        sent=event["data"]["attempts"] if event else int(record.get("sent", 0)),
        perhaps_rung=int(record.get("perhaps", 0)),
        conflicts=int(record.get("conflicts", 0)),
        conflict_us=_moment(record, "conflict_at"),
        wait=wait,
        event_id=event["id"] if event else None,
        event=event,
        history=_history(record.get("history") or _first_wait(record)),
        webhooks=webhooks_of(record),
        trace_id=record["trace"].split("-")[1] if "trace" in record else None,
    )


def _subject(job_id: str, record: Mapping[str, str], long_job: bytes | None) -> dict[str, Any]:
    job = Job.unpacked(job_id, record["account"], record.get("job") or long_job or b"")
    return {"country": job.country, "phone": mask(job.phone), "note": job.ref}


def _unix_us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000) * 1000


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


def _wait(record: Mapping[str, str], row: list[Any], stopped: Reason | None) -> Wait:
    """Say why and until when a job waits, from its lane and its account's limits as they are now.

    They may have changed since the job was parked.
    """
    (*fields, probe_at), rank, score, head, clock, steady = row
    now_us, ahead = steady_us(steady, clock), rank or 0
    lag_us = clock[0] * 1_000_000 + clock[1] - now_us
    ready_us = int(score or now_us)
    lane = Lane.read(now_us, int(head[0][1] if head else ready_us), fields)
    slot_us = max(lane.tat_us - lane.pace.tolerance_us, now_us) + ahead * lane.pace.interval_us
    turn_us = max(ready_us, slot_us)
    reason = lane.reason(stopped)
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
