"""The terminal events: what became of a job, in the bytes that every subscriber receives.

    accepted ─> waiting <─> dialling ─> placed | failed | unknown | expired
    accepted ─> rejected

Source: docs/reference/contract.md, "An event".
"""

from __future__ import annotations

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
    """How a job ended; the event's type is `call.` and this."""

    PLACED = "placed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no ref: the provider's code passed through, or one of the worker's own; `fields` for rejected."""

    code: str
    message: str
    fields: Mapping[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        return error if self.fields is None else error | {"fields": dict(self.fields)}


@dataclass(frozen=True, slots=True)
class Subject:
    """The common fields of an event's `data`, as far as the job was readable. `phone` is masked already."""

    id: str
    account: str
    note: str | None = None
    country: str | None = None
    phone: str | None = None

    @classmethod
    def of(cls, job: Job) -> Subject:
        return cls(job.id, job.account, job.ref, job.country, mask(job.phone))


_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The first and the last second that RFC 3339 can spell, in Unix time."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Event:
    """A terminal event; `body` is what is published, byte for byte, each time and everywhere."""

    id: str
    status: Status
    body: str

    @property
    def type(self) -> str:
        return event_type(self.status)


def event_type(status: Status) -> str:
    """Status.PLACED → "call.placed", also the routing key."""
    return f"call.{status}"


def conclude(
    subject: Subject,
    outcome: str | Failure,
    status: Status,
    *,
    attempts: int,
    accepted_at_us: int,
    finished_at_us: int,
    event_id: str | None = None,
) -> Event:
    """The event for a job that ended: `outcome` is the provider's ref or the failure; times in Unix microseconds.

    `event_id`: where it is to be another than one made up.
    """
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
    # No secret, but once in the world; unlike a UUID it asks the system for nothing. A forked process seeds anew.
    event_id = event_id or f"evt_{random.getrandbits(128):032x}"
    body = {"id": event_id, "type": event_type(status), "timestamp": finished_at, "data": data}
    return Event(event_id, status, _encode(body))


def rfc3339(unix_us: int) -> str:
    """1763799330123456 → "2025-11-22T08:15:30.123Z"; before year 1 and after 9999 the first and the last second."""
    seconds, part_us = divmod(unix_us, 1_000_000)
    return f"{_to_the_second(seconds)}.{part_us // 1000:03}Z"


@lru_cache(maxsize=128)
def _to_the_second(unix_seconds: int) -> str:
    """Of which a busy worker asks for the same few again and again."""
    return datetime.fromtimestamp(min(max(unix_seconds, _FIRST), _LAST), UTC).replace(tzinfo=None).isoformat()
