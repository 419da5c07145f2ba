"""Tells a repeat from a conflict: another job under an id that was used before. Notes conflicts at the first one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from worker.core import repeats
from worker.core.jobs import Job
from worker.core.records import Seen
from worker.errors import StoreUnavailable
from worker.redisio.runner import ScriptCall, Scripts
from worker.state import keys

ANOTHER_ACCOUNTS = Seen("another account's", repeats.OTHER_ACCOUNT)


def seen_by_job(reply: list[Any], job: Job) -> Seen:
    """What `as_seen` in common.lua replied, for a valid job that came under the same id and account."""
    _, state, packed, digest = (part.decode() for part in reply)
    if packed:
        return Seen(state, () if packed == job.packed() else _differing(packed, job))
    return Seen(state, _by_digest(digest, job.id, job.account, repeats.content(job)))


def seen_by_content(reply: list[Any], job_id: str, account: str, content: str) -> Seen:
    """The same for a job that is not allowed."""
    _, state, packed, digest = (part.decode() for part in reply)
    first = _unpacked(packed, job_id, account) if packed else None
    if first is not None:
        return Seen(state, () if repeats.content(first) == content else repeats.OTHER_FIELDS)
    return Seen(state, _by_digest(digest, job_id, account, content))


def note(scripts: Scripts, found: Iterable[tuple[str, str]]) -> None:
    """Leave word at the first jobs, given as (account that has the id, id), as far as Redis takes it."""
    calls = [ScriptCall("conflict", keys.prefix_of(owner), (job_id,)) for owner, job_id in found]
    if calls:
        # What the caller has to tell, and its leases, are worth more than the note.
        with suppress(StoreUnavailable):
            scripts.run_all(calls)


def _differing(packed: str, job: Job) -> tuple[str, ...]:
    first = _unpacked(packed, job.id, job.account)
    return () if first is None else repeats.differing(first, job)


def _unpacked(packed: str, job_id: str, account: str) -> Job | None:
    """None for a form that this version does not know."""
    try:
        return Job.unpacked(job_id, account, packed)
    except (ValueError, TypeError, OverflowError):
        return None


def _by_digest(digest: str, job_id: str, account: str, content: str) -> tuple[str, ...]:
    """An earlier version left no digest; then nobody can tell."""
    same = not digest or digest == repeats.digest(job_id, account, content)
    return () if same else repeats.OTHER_FIELDS
