"""Tells a repeat of a job from a conflict: another job under an id that was used before. Notes conflicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from worker.core import repeats
from worker.core.jobs import Job
from worker.core.records import Foreign, Known, Seen
from worker.errors import StoreUnavailable
from worker.redisio.runner import ScriptCall, Scripts
from worker.state import keys
from worker.state.claims import Owner


def seen_by_job(reply: list[Any], job: Job) -> Seen:
    """Compare a valid job with the job on record under its id and account; `reply` is that of `as_seen` in common.lua.

    After the first job has ended, only a digest of three characters is left of it: one conflict in 4,096 then looks
    like a repeat.
    """
    _, state, packed, digest = (part.decode() for part in reply)
    if packed:
        return Seen(state, () if packed == job.packed() else _differing(packed, job))
    return Seen(state, _by_digest(digest, job.id, job.account, repeats.content(job)))


def seen_by_content(reply: list[Any], job_id: str, account: str, content: str) -> Seen:
    """Compare a job that is not allowed, like `seen_by_job`; `content` is what the job says, see `core.repeats`."""
    _, state, packed, digest = (part.decode() for part in reply)
    first = _unpacked(packed, job_id, account) if packed else None
    if first is not None:
        return Seen(state, () if repeats.content(first) == content else repeats.OTHER_FIELDS)
    return Seen(state, _by_digest(digest, job_id, account, content))


def known_by_claim(owner: Owner, job_id: str, account: str, content: Callable[[], str]) -> Known | None:
    """Compare a job with what the claim of its id says; None if only the record can tell. `content` returns what the
    job says, see `core.repeats`."""
    if owner.account != account:
        return Foreign()
    if owner.ended is None:
        return None
    return Seen(owner.ended.status, _by_digest(owner.ended.digest, job_id, account, content()))


def note(scripts: Scripts, found: Iterable[tuple[str, str]]) -> None:
    """Note conflicts at the first jobs, each given as (account that has the id, id).

    Does not raise StoreUnavailable: the caller's leases and results are worth more than the note, which is then lost.
    """
    calls = [ScriptCall("conflict", keys.prefix_of(owner), (job_id,)) for owner, job_id in found]
    if calls:
        with suppress(StoreUnavailable):
            scripts.run_all(calls)


def _differing(packed: str, job: Job) -> tuple[str, ...]:
    first = _unpacked(packed, job.id, job.account)
    return () if first is None else repeats.differing(first, job)


def _unpacked(packed: str, job_id: str, account: str) -> Job | None:
    """Return the job, or None for a form that this version does not know."""
    try:
        return Job.unpacked(job_id, account, packed)
    except (ValueError, TypeError, OverflowError):
        return None


def _by_digest(digest: str, job_id: str, account: str, content: str) -> tuple[str, ...]:
    """Compare with a digest. An earlier version left none; the job then counts as a repeat."""
    same = not digest or digest == repeats.digest(job_id, account, content)
    return () if same else repeats.OTHER_FIELDS
