"""How a job ends, and its terminal event in the bytes that every subscriber receives.

    accepted ─> waiting <─> dialling ─> placed | failed | unknown | expired
    accepted ─> rejected

Source: docs/reference/contract.md, "An event".
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from worker.core.jobs import Job, mask


class Status(StrEnum):
    """How a job ended. The event's type is `call.` and this word."""

    PLACED = "placed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no ref. `code` is the provider's, unchanged, or one of the worker's. A rejection has `fields`."""

    code: str
    message: str
    fields: Mapping[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        return error if self.fields is None else error | {"fields": dict(self.fields)}


@dataclass(frozen=True, slots=True)
class Subject:
    """The fields of a job that its event repeats, as far as the job was readable. `phone` is already masked."""

    id: str
    account: str
    note: str | None = None
    country: str | None = None
    phone: str | None = None

    @classmethod
    def of(cls, job: Job) -> Subject:
        return cls(job.id, job.account, job.ref, job.country, mask(job.phone))


CANCELED = "CANCELED"
"""The code of a job that was taken back before its phone could be rung."""
OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
"""The code of a job whose phone may have rung."""

UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"
"""The code of a job whose account is not in the accounts file."""

_OF_JOBS = "call."
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The first and the last second that RFC 3339 can spell, in Unix time."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Event:
    """A terminal event. `body` is published byte for byte, each time and to every subscriber."""

    id: str
    status: Status
    body: str

    @property
    def type(self) -> str:
        return event_type(self.status)


def event_type(status: Status) -> str:
    """Return the type of an event, which is also its routing key: Status.PLACED → "call.placed"."""
    return f"{_OF_JOBS}{status}"


def tells_of_job(kind: str) -> bool:
    """Return whether events of this type tell how a job ended. The results queue has others, and may have more."""
    return kind.startswith(_OF_JOBS)


def conclude(
    subject: Subject,
    outcome: str | Failure,
    status: Status,
    *,
    attempts: int,
    accepted_at_us: int,
    finished_at_us: int,
    event_id: str,
) -> Event:
    """Make the event of a job that ended. `outcome` is the provider's ref or the failure; times are Unix µs."""
    finished_at = rfc3339(finished_at_us)
    data: dict[str, Any] = {
        "id": subject.id,
        "account": subject.account,
        "note": subject.note,
        "country": subject.country,
        "phone": subject.phone,
        "attempts": attempts,
        "accepted_at": rfc3339(accepted_at_us),
        "finished_at": finished_at,
    }
    data |= {"ref": outcome} if isinstance(outcome, str) else {"error": outcome.as_dict()}
    body = {"id": event_id, "type": event_type(status), "timestamp": finished_at, "data": data}
    return Event(event_id, status, _encode(body))


def id_of_end(installation: str, account: str, job_id: str, accepted_at_us: int, fence: int) -> str:
    """Return the id of the event that tells how a job ended; `fence` is the number of its last lease, 0 without one.

    It is the same if the end is told again from a state that was set back: a subscriber then drops the second telling,
    whatever it says. The acceptance is part of it because a job's id may be used again once it is forgotten.
    `installation` is the random id of the state, see `Ledger.installation`.
    """
    return event_id_from(f"{installation} {accepted_at_us} {fence} {account} {job_id}")


def event_id_from(told: str) -> str:
    """Return the id of an event from a text that names what it tells: the same text gives the same id."""
    return f"evt_{hashlib.sha256(told.encode(errors='surrogatepass')).hexdigest()[:32]}"


def new_event_id() -> str:
    """Return a random id, for an event that is told once."""
    return f"evt_{random.getrandbits(128):032x}"


def rfc3339(unix_us: int) -> str:
    """Format Unix microseconds: 1763799330123456 → "2025-11-22T08:15:30.123Z".

    A time before year 1 or after 9999 becomes the first or the last second of that range.
    """
    seconds, part_us = divmod(unix_us, 1_000_000)
    return f"{_to_the_second(seconds)}.{part_us // 1000:03}Z"


@lru_cache(maxsize=128)
def _to_the_second(unix_seconds: int) -> str:
    """Format a Unix second. It is cached because a busy worker asks for the same few seconds repeatedly."""
    return datetime.fromtimestamp(min(max(unix_seconds, _FIRST), _LAST), UTC).replace(tzinfo=None).isoformat()
