"""Names of keys in Redis. `scripts/README.md` has the map of what each holds."""

from __future__ import annotations

from worker.core.shards import SHARDS, shard_of

DEAD = "callworker:dead"
DEAD_BYTES = "{callworker:dead}:bytes"
FILES = "callworker:files"
REFUSAL = "callworker:results-refused"
SUSPECT = "callworker:suspect:"
CLOCK = "callworker:clock"
FILE_IDS = "callworker:file-ids"


def prefix(shard: int) -> str:
    """What every key of a shard begins with; the braces keep a shard on one node of a cluster."""
    return f"callworker:{{{shard}}}:"


def prefixes(turn: int = 0) -> list[str]:
    """The prefixes of all shards, with another one first at each `turn`, so that none comes last for ever."""
    return [prefix((turn + n) % SHARDS) for n in range(SHARDS)]


def prefix_of(account: str) -> str:
    return prefix(shard_of(account))


def strangers(job_id: str) -> list[str]:
    """Where a rejected job may be remembered that named an account which does not exist."""
    return [f"{prefix(shard)}stranger:{job_id}" for shard in range(SHARDS)]


def claim(job_id: str) -> str:
    """The key that says which account used an id first."""
    return f"callworker:id:{job_id}"
