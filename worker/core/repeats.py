"""Whether a job that comes under an id that was used before is that job again, or another one: a conflict.

`expires_at` does not count: a producer that sends a job again often counts its time anew. Nor does how a value is
spelled: an integer is its digits, null and a default are absence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from worker.core.jobs import DEFAULT_LANGUAGE, Job

DIGEST_CHARACTERS = 3
"""Of 16 values each. So short that the number and the PIN cannot be found out from it, tried one after the other: of
those that are possible, one in 4,096 fits. The price: as seldom, a conflict with a job that has ended is not seen."""

OTHER_ACCOUNT = ("account",)
OTHER_FIELDS = ("fields",)
"""What differs where only a digest is left of the first one, or where one of the two is no valid job."""

_COMPARED = tuple(name for name in Job.model_fields if name not in ("id", "account", "expires_at"))


def content(job: Job) -> str:
    """All that makes two jobs of one id and account the same, the PIN included: for comparison, never to be kept."""
    return (job if job.expires_at is None else job.model_copy(update={"expires_at": None})).packed()


def raw_content(fields: Mapping[str, Any]) -> str:
    """The same of fields that are no valid job; never equal to that of a job. Does not raise."""
    given = {
        str(name): str(value) if type(value) is int else value
        for name, value in fields.items()
        if value is not None and name != "expires_at" and (name, value) != ("message", DEFAULT_LANGUAGE)
    }
    try:
        return json.dumps(given, sort_keys=True, default=_kind)
    except (RecursionError, TypeError, ValueError):
        return json.dumps(sorted(given))


def _kind(value: object) -> str:
    """What JSON cannot spell, the same in every process."""
    return type(value).__name__


def digest(job_id: str, account: str, of_content: str) -> str:
    """What stays on record of `of_content` once the job has ended."""
    text = f"{job_id}\n{account}\n{of_content}".encode(errors="surrogatepass")
    return hashlib.sha256(text).hexdigest()[:DIGEST_CHARACTERS]


def differing(first: Job, second: Job) -> tuple[str, ...]:
    """The names of the fields in which two jobs of one id and account differ."""
    return tuple(name for name in _COMPARED if getattr(first, name) != getattr(second, name))
