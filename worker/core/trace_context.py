"""The context of a distributed trace as it travels: `traceparent` and `tracestate`.

A text that is no context is ignored and never an error, as the standard wants it. Source: W3C Trace Context,
"Traceparent Header" and "Tracestate Header".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
NAMES = (TRACEPARENT, TRACESTATE)
"""The names of both, as fields of a job, as headers of a message, and as headers of HTTP."""

MAX_STATE = 512
"""Characters of `tracestate` that are passed on. A longer one is ignored."""


@dataclass(frozen=True, slots=True)
class Origin:
    """From which the trace of a job follows, the same at every worker: the job's name, and the producer's context."""

    job_id: str
    account: str
    traceparent: str | None = None
    tracestate: str | None = None

    @classmethod
    def read(cls, job_id: str, account: str, fields: Mapping[str, Any]) -> Self:
        """Read the context from a job's fields as they came. One that is no context is left out."""
        parent, state = fields.get(TRACEPARENT), fields.get(TRACESTATE)
        return cls(
            job_id,
            account,
            traceparent(parent) if isinstance(parent, str) else None,
            tracestate(state) if isinstance(state, str) else None,
        )


_PARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.DOTALL,
)
_STATE = re.compile(rf"[ -~]{{1,{MAX_STATE}}}")
_NEVER = "ff"
_KNOWN_FLAGS = 0x03
"""Sampled, and random trace id."""


def traceparent(text: str) -> str | None:
    """Return a context as version 00 spells it, or None if `text` is none. A later version may have more parts."""
    found = _PARENT.fullmatch(text)
    if found is None or found["version"] == _NEVER or (found["version"] == "00" and found["more"]):
        return None
    flags = int(found["flags"], 16) & _KNOWN_FLAGS
    return f"00-{found['trace']}-{found['span']}-{flags:02x}"


def tracestate(text: str) -> str | None:
    """Return the state unchanged, or None if it cannot be one or is too long."""
    return text if _STATE.fullmatch(text) else None
