"""The tiles that several dashboards show."""

from __future__ import annotations

from ops.dashboards.panels import CALM, Panel, tile
from ops.dashboards.promql import STORE_READ

USED, LIMIT = "max(callworker_redis_memory_used_bytes)", "max(callworker_redis_memory_limit_bytes)"


def workers() -> Panel:
    return tile(
        "Workers",
        "Living workers, as they count themselves in Redis.",
        "max(callworker_workers)",
        {None: "red", 1: "green"},
        ["CallworkerDown"],
    )


def workers_lost() -> Panel:
    return tile(
        "Workers lost",
        "Workers that fell silent without having stopped. Each worker that starts takes the place of one.",
        "max(callworker_workers_lost)",
        CALM,
        ["CallworkerWorkersLost", "CallworkerDown"],
    )


def redis_memory() -> Panel:
    return tile(
        "Redis memory",
        "Share of `maxmemory` that Redis uses. At 100 % it takes no writes, and everything stops.",
        f"{USED} / ({LIMIT} > 0) or -1 + 0 * {USED}",
        {None: "blue", 0: "green", 0.8: "orange", 0.9: "red"},
        ["CallworkerRedisMemory", "CallworkerRedisFilling"],
        unit="percentunit",
        words={-1: ("no limit", "blue")},
    )


def unpublished() -> Panel:
    return tile(
        "Unpublished",
        "Events that are recorded and that the broker has not confirmed yet.",
        STORE_READ,
        {None: "green", 100: "orange", 1000: "red"},
        ["CallworkerResultsUnpublished", "CallworkerPublishBurn"],
    )
