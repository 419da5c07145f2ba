"""The jobs of the demo, and how each must end.

The last four digits of a phone number choose how its call ends; see `worker/sandbox/behaviours.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.core.accounts import Account
from worker.core.events import Status

NO_SUCH_ACCOUNT = "umbrella"
BROKEN_MESSAGES = ({"account": "acme", "country": "1"},)
"""Messages that no event can answer: they must end as dead letters."""

Requests = Callable[[Account], int]


def requests(count: int) -> Requests:
    """The same number of requests for every account."""
    return lambda _: count


NEVER, ONCE = requests(0), requests(1)


def every_dial(account: Account) -> int:
    """All requests that may ring the phone."""
    return 1 + account.redials


def every_attempt(account: Account) -> int:
    """All attempts of a job whose phone certainly did not ring."""
    return account.attempts


@dataclass(frozen=True)
class Case:
    """`count` jobs of one kind. `sent` is the number of requests that each must cost, `error` its error code.

    `ending` holds the last digits of the phone number, by default those of a number that works. `plain` jobs are sent
    as plain JSON, as by a foreign producer without checks; each of the others is enqueued `copies` times.
    """

    story: str
    account: str
    status: Status
    error: str = ""
    sent: Requests = ONCE
    count: int = 1
    ending: str = ""
    country: str = "1"
    changes: Mapping[str, str] = field(default_factory=dict)
    expires_in_seconds: float | None = None
    copies: int = 1
    plain: bool = False


PLACED, FAILED, UNKNOWN, EXPIRED, REJECTED = Status

CASES = (
    Case("one id, sent three times", "acme", PLACED, copies=3),
    Case("busy twice (503)", "acme", PLACED, ending="0002", sent=requests(3)),
    Case("asked to wait (429)", "acme", PLACED, ending="0007", sent=requests(2)),
    Case("no such number", "acme", FAILED, "INVALID_TELEPHONE", ending="0001", count=2),
    Case("an error nobody documents", "acme", FAILED, "CARRIER_SUSPENDED", ending="0012"),
    Case("connection reset", "acme", UNKNOWN, "OUTCOME_UNKNOWN", every_dial, ending="0004"),
    Case("empty answer", "acme", UNKNOWN, "OUTCOME_UNKNOWN", every_dial, ending="0005"),
    Case("too late already", "acme", EXPIRED, "EXPIRED", NEVER, count=2, expires_in_seconds=-1),
    Case(
        "PIN with a leading zero",
        "acme",
        REJECTED,
        "INVALID_JOB",
        NEVER,
        changes={"code": "0815"},
        plain=True,
    ),
    Case("a good number, plain JSON", "acme", PLACED, count=3, plain=True),
    Case("a good number", "acme", PLACED, count=14),
    Case("busy twice (503)", "globex", PLACED, ending="0002", sent=requests(3)),
    Case("no such number", "globex", FAILED, "INVALID_TELEPHONE", ending="0001", count=2),
    Case("broken provider (500)", "globex", UNKNOWN, "OUTCOME_UNKNOWN", every_dial, ending="0009"),
    Case("country not allowed", "globex", REJECTED, "DESTINATION_BLOCKED", NEVER, country="49", count=2),
    Case("a good number", "globex", PLACED, count=34),
    Case("a good number abroad", "globex", PLACED, count=6, country="44"),
    Case("never answers", "initech", UNKNOWN, "OUTCOME_UNKNOWN", every_dial, ending="0003"),
    Case("connection reset", "initech", UNKNOWN, "OUTCOME_UNKNOWN", every_dial, ending="0004"),
    Case("always busy (503)", "initech", FAILED, "PROVIDER_UNAVAILABLE", every_attempt, ending="0013"),
    Case("slow answer (2 s)", "initech", PLACED, ending="0010"),
    Case("a good number", "initech", PLACED, count=12),
    Case("its turn comes too late", "initech", EXPIRED, "EXPIRED", NEVER, count=3, expires_in_seconds=3),
    Case("account not in the file", NO_SUCH_ACCOUNT, REJECTED, "UNKNOWN_ACCOUNT", NEVER, plain=True),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """One job of a case, with the fields to send. Its `phone` is unique, so that the sandbox can tell jobs apart."""

    case: Case
    id: str
    phone: str
    fields: dict[str, Any]


def plan() -> list[Planned]:
    """All jobs in the order of sending, with random PINs."""
    cases = [case for case in CASES for _ in range(case.count)]
    return [_planned(case, number) for number, case in enumerate(cases, start=1)]


def _planned(case: Case, number: int) -> Planned:
    job_id = f"demo-{case.account}-{number:03}"
    phone = f"202{number:03}{case.ending or f'1{number:03}'}"
    fields = {
        "id": job_id,
        "account": case.account,
        "country": case.country,
        "phone": phone,
        "code": str(random.randint(1000, 99999)),  # noqa: S311 (nobody is verified with it)
        "ref": f"demo {number}",
    }
    if case.expires_in_seconds is not None:
        fields["expires_at"] = _from_now(case.expires_in_seconds)
    return Planned(case, job_id, phone, {**fields, **case.changes})


def _from_now(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
