"""Tells a job that was sent again from a different job under the same id, which is a conflict.

`expires_at` and the trace context do not count, because a producer that sends a job again often makes them again.
Spelling does not count either: an integer equals its digits, and null or a default equals an absent field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from worker.core import trace_context
from worker.core.jobs import DEFAULT_LANGUAGE, Job

DIGEST_CHARACTERS = 3
"""The hexadecimal characters of a digest. It is so short that trying all numbers and PINs does not reveal the right
ones, because one in 4,096 fits. In return, one in 4,096 conflicts with a job that has ended is not noticed."""

OTHER_ACCOUNT = ("account",)
OTHER_FIELDS = ("fields",)
"""The difference that is reported if only a digest of the first job is left, or if one of the two is not valid."""

_NOT_COMPARED = ("expires_at", *trace_context.NAMES)
_COMPARED = tuple(name for name in Job.model_fields if name not in ("id", "account", *_NOT_COMPARED))


def content(job: Job) -> str:
    """Return all that must be equal in two jobs with one id and account, including the PIN. Never store it."""
    left_out = [name for name in _NOT_COMPARED if getattr(job, name) is not None]
    return (job.model_copy(update=dict.fromkeys(left_out)) if left_out else job).packed()


def raw_content(fields: Mapping[str, Any]) -> str:
    """Return the content of fields that are not a valid job. It differs from that of any valid job. Never raises."""
    given = {
        str(name): str(value) if type(value) is int else value
        for name, value in fields.items()
        if value is not None and name not in _NOT_COMPARED and (name, value) != ("message", DEFAULT_LANGUAGE)
    }
    try:
        return json.dumps(given, sort_keys=True, default=_kind)
    except (RecursionError, TypeError, ValueError):
        return json.dumps(sorted(given))


def _kind(value: object) -> str:
    """Replace a value that JSON cannot express with a text that is the same in every process."""
    return type(value).__name__


def digest(job_id: str, account: str, of_content: str) -> str:
    """Return the digest of a job's content that stays on record after the job has ended."""
    text = f"{job_id}\n{account}\n{of_content}".encode(errors="surrogatepass")
    return hashlib.sha256(text).hexdigest()[:DIGEST_CHARACTERS]


def differing(first: Job, second: Job) -> tuple[str, ...]:
    """Return the names of the fields in which two jobs with one id and account differ."""
    return tuple(name for name in _COMPARED if getattr(first, name) != getattr(second, name))
