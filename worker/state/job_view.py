"""What people see of one job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.core.events import Status, rfc3339
from worker.core.records import Reason
from worker.state.job_webhooks import JobWebhook

CANCELED = "canceled"
"""The state of a job that was canceled and has not come yet."""


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

    If a cancel came before the job, `state` is CANCELED and all else is empty, but for `account` if it is known.

    `sent` counts the requests that were sent, `perhaps_rung` those that may have rung the phone. `conflicts` counts
    other jobs that came under this id and were dropped; the last came at `conflict_us`. `event` is the published event
    once the job has ended, `event_id` its id, and `webhooks` what became of it at each endpoint. `wait` is set while
    the job waits. `trace_id` names the trace of its record: its producer's until the job ends, and then its own.

    An hour after its end the details of a job are dropped, see docs/decisions/0021: only the first five fields are
    left then, and all others have their defaults.
    """

    id: str
    account: str
    state: str
    finished_us: int | None
    event_id: str | None
    accepted_us: int | None = None
    expires_us: int | None = None
    country: str | None = None
    phone: str | None = None
    note: str | None = None
    sent: int | None = None
    perhaps_rung: int | None = None
    conflicts: int | None = None
    conflict_us: int | None = None
    wait: Wait | None = None
    event: dict[str, Any] | None = None
    history: tuple[Step, ...] = ()
    webhooks: tuple[JobWebhook, ...] = ()
    trace_id: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the job has its final status."""
        return self.state in tuple(Status)

    @property
    def dropped(self) -> bool:
        """Whether the details are dropped."""
        return self.ended and self.accepted_us is None

    def as_dict(self) -> dict[str, Any]:
        """Return the view as a JSON object; times as RFC 3339."""
        return {
            "id": self.id,
            "account": self.account,
            "state": self.state,
            "country": self.country,
            "phone": self.phone,
            "note": self.note,
            "accepted_at": _told(self.accepted_us),
            "expires_at": _told(self.expires_us),
            "finished_at": _told(self.finished_us),
            "attempts": self.sent,
            "perhaps_rung": self.perhaps_rung,
            "conflicts": self.conflicts,
            "last_conflict_at": _told(self.conflict_us),
            "wait": None if self.wait is None else self.wait.as_dict(),
            "event_id": self.event_id,
            "event": self.event,
            "trace_id": self.trace_id,
            "details_dropped": self.dropped,
            "history": [step.as_dict() for step in self.history],
            "webhooks": [webhook.as_dict() for webhook in self.webhooks],
        }


def _told(unix_us: int | None) -> str | None:
    return None if unix_us is None else rfc3339(unix_us)
