"""How a job ends in a test, and the outcomes that the sandbox provider's numbers have.

Source: docs/reference/contract.md, "Sandbox provider", for an account with the default `attempts` and `redials`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from callworker.job import Job


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a job: `status` is placed, failed, unknown, expired or rejected. See the functions below."""

    status: str
    attempts: int
    facts: Mapping[str, Any] = field(hash=False)
    """What the event's `data` holds beside the job's own fields: `ref` or `error`."""


def placed(ref: str | None = None, *, attempts: int = 1) -> Outcome:
    """The provider gave a ref, by default a random one."""
    return Outcome("placed", attempts, {"ref": ref or uuid.uuid4().hex.upper()})


def failed(code: str = "INVALID_TELEPHONE", message: str = "", *, attempts: int = 1) -> Outcome:
    """The provider refused, or the attempts ran out. The phone did not ring."""
    return Outcome("failed", attempts, _error(code, message or _MESSAGES.get(code, "the provider refuses")))


def unknown(*, attempts: int = 2) -> Outcome:
    """The phone may have rung."""
    return Outcome("unknown", attempts, _error("OUTCOME_UNKNOWN", _MESSAGES["OUTCOME_UNKNOWN"]))


def expired(code: str = "EXPIRED") -> Outcome:
    """`expires_at` passed before the phone could be rung, or with code CANCELED: the job was taken back."""
    return Outcome("expired", 0, _error(code, _MESSAGES[code]))


def rejected(code: str = "INVALID_JOB", fields: Mapping[str, str] | None = None) -> Outcome:
    """The job is not valid, or not allowed. `fields` says what is wrong with each field."""
    wrong = dict(fields or _FIELDS.get(code, {}))
    return Outcome("rejected", 0, _error(code, _MESSAGES[code], fields=wrong))


def like_the_sandbox(job: Job) -> Outcome:
    """Return how the job ends with the sandbox provider, which goes by the last four digits of the number."""
    return _SANDBOX.get(str(job.phone)[-4:], placed)()


def _error(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


_MESSAGES = {
    "INVALID_TELEPHONE": "The telephone number provided is not valid.",
    "CARRIER_SUSPENDED": "The carrier of this number is suspended.",
    "PROVIDER_UNAVAILABLE": "the provider is unavailable",
    "OUTCOME_UNKNOWN": "the phone may have rung, and there is no answer",
    "EXPIRED": "expires_at passed before the phone could be rung",
    "CANCELED": "the job was canceled",
    "INVALID_JOB": "the job is not valid",
    "UNKNOWN_ACCOUNT": "no such account",
    "DESTINATION_BLOCKED": "the account may not dial there",
}
_FIELDS = {
    "UNKNOWN_ACCOUNT": {"account": "is not in the accounts file"},
    "DESTINATION_BLOCKED": {"country": "is not among the countries of the account"},
}
_SANDBOX: Mapping[str, Callable[[], Outcome]] = {
    "0001": failed,
    "0002": lambda: placed(attempts=3),
    "0003": unknown,
    "0004": unknown,
    "0005": unknown,
    "0007": lambda: placed(attempts=2),
    # The account is held, and nobody corrects it.
    "0008": expired,
    "0009": unknown,
    "0011": unknown,
    "0012": lambda: failed("CARRIER_SUSPENDED"),
    "0013": lambda: failed("PROVIDER_UNAVAILABLE", attempts=5),
}
