"""Names of keys in Redis. `scripts/README.md` says what each key holds."""

from __future__ import annotations

from worker.core.shards import ON_ONE_SERVER, Layout, shard_of

DEAD = "callworker:dead"
DEAD_BYTES = "{callworker:dead}:bytes"
AUDIT = "callworker:audit"
FILES = "callworker:files"
REFUSAL = "callworker:results-refused"
SUSPECT = "callworker:suspect:"
CLOCK = "callworker:clock"
INSTALLATION = "callworker:installation"
FILE_IDS = "callworker:file-ids"
WRITE_CHECK = "callworker:write-check"
WORKERS = "callworker:workers"
ELECTED = "callworker:metrics"
MEMORY = "callworker:memory"
LAYOUT = "callworker:layout"


def layout() -> Layout:
    """Return how this program divides the state."""
    return ON_ONE_SERVER


def prefix(shard: int) -> str:
    """Return the prefix of a shard's keys. The braces keep a shard on one node of a cluster."""
    return f"callworker:{{{layout().tags[shard]}}}:"


def prefixes(turn: int = 0) -> list[str]:
    """Return the prefixes of all shards. `turn` selects the first one; callers count it up, so that all take turns."""
    shards = layout().shards
    return [prefix((turn + n) % shards) for n in range(shards)]


def prefix_of(account: str) -> str:
    """Return the prefix of the shard that holds an account."""
    return prefix(shard_of(account, layout().shards))


def strangers(job_id: str) -> list[str]:
    """Return all keys under which a rejected job of an account that does not exist may be remembered."""
    return [f"{prefix}stranger:{job_id}" for prefix in prefixes()]


def claim(job_id: str) -> str:
    """Return the key that says which account used an id first."""
    return f"callworker:id:{job_id}"
