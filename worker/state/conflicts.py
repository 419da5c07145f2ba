"""Tells a repeat of a job from a conflict: another job under an id that was used before. Reports conflicts."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from worker.core import repeats
from worker.core.jobs import Job
from worker.core.notices import conflict
from worker.core.records import Foreign, Known, Seen
from worker.errors import StoreUnavailable, WrongKey
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys, notices
from worker.state.claims import Owner
from worker.state.file_ids import SECRET_BYTES


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
    if owner.account not in ("", account):
        return Foreign()
    if owner.ended is None:
        return None
    return Seen(owner.ended.status, _by_digest(owner.ended.digest, job_id, account, content()))


class Conflict(NamedTuple):
    """A job of `account` was dropped because `owner` has its id; `content` is what it says, see `core.repeats`."""

    owner: str
    job_id: str
    account: str
    known: Known
    content: str


class Conflicts:
    """Reports conflicts. Thread-safe."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts, self._secret = scripts, b""

    def report(self, found: Sequence[Conflict]) -> dict[int, StoreUnavailable]:
        """Count each conflict at the first job, and put its event on its way.

        Returns the places of those that are to be reported again, with the reason, see `run_parts`. Takes one round
        trip, and the first time one more. Raises StoreUnavailable or WrongKey; then any of them may be reported.
        """
        if not found:
            return {}
        secret = self._shared_secret()
        told = [conflict(one.job_id, one.account, one.known, one.content, secret) for one in found]
        counted = [ScriptCall("conflict", keys.prefix_of(one.owner), (one.job_id,)) for one in found]
        failed, replies = notices.put_on_their_way(self._scripts, told, *counted)
        return failed | {n: reply for n, reply in enumerate(replies) if isinstance(reply, StoreUnavailable)}

    def _shared_secret(self) -> bytes:
        """Return the secret in Redis; the first worker that needs it creates it.

        If its key holds another type, this process uses one of its own: an event that comes again then has the same id
        only if it comes from the same worker.
        """
        if not self._secret:
            new = secrets.token_bytes(SECRET_BYTES)
            try:
                _, self._secret = self._scripts.run_commands(
                    [("SET", keys.FILE_IDS, new, "NX"), ("GET", keys.FILE_IDS)]
                )
            except WrongKey:
                self._secret = new
        return self._secret


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
