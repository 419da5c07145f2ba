"""Reads from a job's record what became of its event at each endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.core.events import rfc3339

_FIELD = "hook:"


@dataclass(frozen=True, slots=True)
class JobWebhook:
    """A job's event on its way to one endpoint. `endpoint` is `Endpoint.key`, `sequence` the delivery's number there.

    `state` is "waiting", "delivered" or "given_up", since `at_us` (Unix µs, rounded to milliseconds). `attempts` counts
    the requests that were made. `why` is the status or cause of the last one, or why it was given up; None if there is
    none yet.
    """

    endpoint: str
    sequence: int
    state: str
    attempts: int
    why: str | None
    at_us: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object; the time as RFC 3339."""
        return {
            "endpoint": self.endpoint,
            "sequence": self.sequence,
            "state": self.state,
            "attempts": self.attempts,
            "why": self.why,
            "at": rfc3339(self.at_us),
        }


def webhooks_of(record: Mapping[str, str]) -> tuple[JobWebhook, ...]:
    """Return the webhooks of a job by its record's fields, in the order of their names.

    Empty for a job that has not ended, or that an earlier version ended.
    """
    fields = ((name.removeprefix(_FIELD), record[name]) for name in sorted(record) if name.startswith(_FIELD))
    return tuple(webhook_of(endpoint, text) for endpoint, text in fields)


def webhook_of(endpoint: str, text: str) -> JobWebhook:
    """Read what a record says of its event at one endpoint."""
    sequence, state, attempts, why, at_ms = text.split(" ")
    return JobWebhook(
        endpoint, int(sequence), state, int(attempts), None if why == "-" else why, int(at_ms) * 1000
    )
