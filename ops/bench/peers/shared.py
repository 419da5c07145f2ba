"""What all peers share: the servers' addresses, the fields of a job, and what is sent and read."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

REDIS_URL = os.environ["BENCH_REDIS_URL"]
BROKER_URL = os.environ["BENCH_BROKER_URL"]
CALL_URL = os.environ["BENCH_PROVIDER_URL"] + "/telephonecall.json"
IN_FLIGHT = int(os.environ["BENCH_IN_FLIGHT"])
CONNECTIONS = 20
"""To Redis: redis-py's own pool raises an error at a hundred, and more than a few bring nothing."""
TIMEOUT_SECONDS = 15
KEY = "0123456789abcdef0123456789abcdef"

Job = dict[str, Any]


def asked_for() -> tuple[str, list[Job]]:
    """Read the command line (kind, prefix, count): return 'bare' or 'full', and the jobs to enqueue."""
    kind, prefix, count = sys.argv[1:4]
    return kind, [
        {"id": f"{prefix}{n}", "account": "bench", "country": "1", "phone": "2125559999", "code": "4711"}
        for n in range(int(count))
    ]


def form(job: Job) -> dict[str, str]:
    """Return the form fields of the provider."""
    return {
        "key": KEY,
        "country": job["country"],
        "phone": job["phone"],
        "code": job["code"],
        "message": "English",
    }


def ref_in(answer: bytes) -> str:
    ref: str = json.loads(answer)["response"]["ref"]
    return ref


def outcome_key(job_id: str) -> str:
    """Return the key of the hash that a bare job writes; the bench counts these."""
    return f"bench:{job_id}"
