"""Names of keys in Redis. `scripts/README.md` says what each key holds."""

from __future__ import annotations

from worker.core.shards import ON_ONE_SERVER, ONE_SERVER, Layout, shard_of

DEAD = "callworker:dead"
DEAD_BYTES = "{callworker:dead}:bytes"
AUDIT = "callworker:audit"
FILES = "callworker:files"
REFUSAL = "callworker:results-refused"
SUSPECT = "callworker:suspect:"
CLOCK = "callworker:clock"
DRAIN = "callworker:drain"
INSTALLATION = "callworker:installation"
FILE_IDS = "callworker:file-ids"
WRITE_CHECK = "callworker:write-check"
WORKERS = "callworker:workers"
ELECTED = "callworker:metrics"
MEMORY = "callworker:memory"
LAYOUT = "callworker:layout"


_layouts = [ON_ONE_SERVER]


def use(chosen: Layout) -> None:
    """Divide the state in this way from now on. A process has one store."""
    _layouts[:] = [chosen]


def layout() -> Layout:
    """Return how this program divides the state."""
    return _layouts[0]


def clock(key: str) -> str:
    """Return the key of the clock that times a script: `key` is its first key, a shard's prefix or another one."""
    if layout().version == ONE_SERVER:
        return CLOCK
    return f"{key}clock" if key.endswith(":") else f"{{{key}}}:clock"


def elected() -> str:
    """Return the key of the election, which in a cluster must be on the server of the workers' entries."""
    return ELECTED if layout().version == ONE_SERVER else f"{{{WORKERS}}}:metrics"


def ends_in_shards() -> bool:
    """Whether the ends of jobs are remembered beside their records, and not in the claims of their ids."""
    return layout().version != ONE_SERVER


def end(job_id: str, account: str) -> str:
    """Return the key that remembers how a job ended: the claim of its id, in a cluster one of its shard."""
    return f"{prefix_of(account)}end:{job_id}" if ends_in_shards() else claim(job_id)


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
