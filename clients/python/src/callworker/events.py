"""The events that tell what became of a job.

Source: docs/reference/events.md. Later versions of callworker may add fields and types of events, so whatever is not
known here is kept in `Event.raw` and is never an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from callworker.errors import InvalidEvent

CALLS = "call."
"""The beginning of the type of each event that tells how a job ended."""


@dataclass(frozen=True, slots=True)
class Error:
    """The reason why there is no ref. `code` is stable, `message` is for people.

    `fields` says what is wrong with each field of a job that was rejected. Codes: docs/reference/errors.md.
    """

    code: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class CallData:
    """The facts of the job that an event tells about. What an event does not have is empty, 0 or None."""

    id: str
    """The job's id. Empty if the event is about no job, as `endpoint.disabled`."""
    account: str
    note: str | None = None
    """The job's own `ref`, as it was sent."""
    country: str | None = None
    phone: str | None = None
    """The number, masked but for its last four digits."""
    attempts: int = 0
    """Requests to the provider that reached the network."""
    accepted_at: datetime | None = None
    finished_at: datetime | None = None
    ref: str | None = None
    """The provider's ref of a call that was placed."""
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One event. It may come more than once, always with the same `id`: drop repeats by it."""

    id: str
    type: str
    """Such as `call.placed`. Ignore types that you do not know."""
    timestamp: datetime
    data: CallData
    raw: Mapping[str, Any] = field(repr=False, compare=False)
    """The event as it was published, with all that this version does not know."""

    @property
    def status(self) -> str | None:
        """How the job ended: placed, failed, unknown, expired or rejected. None if the event does not tell that.

        Of `job.conflict` and `job.not_canceled`, `raw["data"]["status"]` has the state of the job.
        """
        return self.type.removeprefix(CALLS) if self.type.startswith(CALLS) else None

    @property
    def error(self) -> Error | None:
        """The reason why there is no ref; None after `call.placed`."""
        return self.data.error

    @classmethod
    def parse(cls, body: bytes | str) -> Event:
        """Read an event from the bytes in which it was published. Raises InvalidEvent."""
        try:
            raw = json.loads(body)
        except (ValueError, RecursionError):
            raise InvalidEvent("the event is not JSON") from None
        return cls.of(raw)

    @classmethod
    def of(cls, raw: object) -> Event:
        """Read an event from its parsed JSON. Raises InvalidEvent if it lacks what every event has."""
        event = _object(raw)
        event_id, kind, moment = (
            _text(event.get("id")),
            _text(event.get("type")),
            _time(event.get("timestamp")),
        )
        data = event.get("data")
        if not event_id or not kind or moment is None or not isinstance(data, dict):
            raise InvalidEvent("the event lacks an id, a type, a timestamp or data")
        return cls(event_id, kind, moment, _data(data), event)


def _data(data: Mapping[str, Any]) -> CallData:
    attempts = data.get("attempts")
    return CallData(
        id=_text(data.get("id")) or "",
        account=_text(data.get("account")) or "",
        note=_text(data.get("note")),
        country=_text(data.get("country")),
        phone=_text(data.get("phone")),
        attempts=attempts if isinstance(attempts, int) else 0,
        accepted_at=_time(data.get("accepted_at")),
        finished_at=_time(data.get("finished_at")),
        ref=_text(data.get("ref")),
        error=_error(data.get("error")),
    )


def _error(value: object) -> Error | None:
    if not isinstance(value, dict):
        return None
    fields = {name: rule for name, rule in _object(value.get("fields")).items() if isinstance(rule, str)}
    return Error(_text(value.get("code")) or "", _text(value.get("message")) or "", fields)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: object) -> datetime | None:
    """Read an RFC 3339 time as UTC; None if it is none."""
    try:
        return datetime.fromisoformat(_text(value) or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
