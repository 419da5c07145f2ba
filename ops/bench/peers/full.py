"""The parts of the full job that do not depend on the queue: validation, the two scripts' arguments, the event.

They are simpler than callworker if that makes them cheaper: a worker that dies during a call leaves its job without an
outcome, and a limit that is reached costs the queue a message or a task that sleeps.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

ADMIT = Path(__file__).with_name("admit.lua").read_text(encoding="utf-8")
SETTLE = Path(__file__).with_name("settle.lua").read_text(encoding="utf-8")
INTERVAL_US, TOLERANCE_US = 1, 1_000_000
RETENTION_SECONDS = 7 * 86400


class VerificationJob(BaseModel):
    """A job as callworker's contract defines it."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_:-]{1,64}$")]
    account: str
    country: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")]
    phone: Annotated[str, Field(pattern=r"^[0-9]{4,15}$")]
    code: Annotated[str, Field(pattern=r"^[1-9][0-9]{2,4}$")]
    ext: Annotated[str, Field(pattern=r"^[0-9]+$")] | None = None
    message: str = "English"
    ref: Annotated[str, Field(max_length=255)] | None = None
    expires_at: datetime | None = None


def admission(job: VerificationJob) -> dict[str, Any]:
    """Return keys and arguments of `admit.lua`."""
    keys = [f"job:{job.id}", f"limit:{job.account}"]
    return {"keys": keys, "args": [INTERVAL_US, TOLERANCE_US, job.account]}


def placed(job: VerificationJob, ref: str) -> dict[str, Any]:
    """Return keys and arguments of `settle.lua` for a call that was placed."""
    data = {"country": job.country, "phone": "*" * (len(job.phone) - 4) + job.phone[-4:], "attempts": 1}
    return _settlement(job.id, "call.placed", {"account": job.account, **data, "ref": ref})


def rejected(fields: dict[str, Any], problem: Exception) -> dict[str, Any]:
    """Return keys and arguments of `settle.lua` for a job that is not valid."""
    error = {"code": "INVALID_JOB", "message": type(problem).__name__}
    return _settlement(str(fields.get("id")), "call.rejected", {"error": error})


def _settlement(job_id: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    event = {
        "id": f"evt_{uuid.uuid4().hex}",
        "type": kind,
        "timestamp": now,
        "data": {"id": job_id, "finished_at": now, **data},
    }
    return {"keys": [f"job:{job_id}", "results"], "args": [kind, json.dumps(event), RETENTION_SECONDS]}
