"""Whether workers, Redis and the broker are enough, and for how long."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.dashboards.frame import assemble
from ops.dashboards.panels import NEUTRAL, Panel, lines, tile
from ops.dashboards.promql import rate, shared_sum, worst
from ops.dashboards.tiles import LIMIT, USED, redis_memory, unpublished, workers, workers_lost

OF_WORKERS = "and on (job, instance) callworker_build_info"


def dashboard() -> Dashboard:
    rows = {
        "Now": _now(),
        "Workers": _workers(),
        "Redis": _redis(),
        "Load": _load(),
        "Processes": _processes(),
    }
    return assemble("capacity", "Whether workers, Redis and the broker are enough, and for how long.", rows)


def _now() -> list[Panel]:
    return [
        workers(),
        tile(
            "Workers wanted",
            "Workers that the calls in flight and the jobs that limits let go would fill. For an autoscaler.",
            "max(callworker_workers_wanted)",
            NEUTRAL,
            ["CallworkerNoPlaces"],
        ),
        workers_lost(),
        tile(
            "Places used",
            "Share of all workers' places that have a call under way.",
            "sum(callworker_places_used) / sum(callworker_places)",
            {None: "green", 0.8: "orange", 0.95: "red"},
            ["CallworkerNoPlaces"],
            unit="percentunit",
        ),
        tile(
            "May go now",
            "Waiting jobs that their accounts' limits let go at this moment.",
            "max(callworker_eligible_now)",
            NEUTRAL,
        ),
        redis_memory(),
        tile(
            "Redis full in",
            "Time until Redis reaches `maxmemory` at the growth of the last hours.",
            f"min(callworker_redis_memory_full_seconds) < Inf or -1 + 0 * {USED}",
            {None: "red", 3600: "orange", 86400: "green"},
            ["CallworkerRedisFilling"],
            unit="s",
            words={-1: ("not in sight", "green")},
        ),
        unpublished(),
    ]


def _workers() -> list[Panel]:
    return [
        lines(
            "Workers living, lost and wanted",
            "As the workers count themselves in Redis. What a limit holds back wants no worker.",
            "short",
            {
                "living": "max(callworker_workers)",
                "lost": "max(callworker_workers_lost)",
                "wanted": "max(callworker_workers_wanted)",
            },
            ["CallworkerWorkersLost", "CallworkerNoPlaces"],
        ),
        lines(
            "Places and jobs for them",
            "Places of all workers, those used, and waiting jobs that limits let go at this moment.",
            "short",
            {
                "places": "sum(callworker_places)",
                "used": "sum(callworker_places_used)",
                "may go now": "max(callworker_eligible_now)",
            },
            ["CallworkerNoPlaces"],
        ),
        lines(
            "Use of places, fullest workers",
            "Share of a worker's places that have a call under way.",
            "percentunit",
            {"{{instance}}": worst("callworker_places_used / callworker_places")},
            ["CallworkerNoPlaces"],
            top=1,
        ),
    ]


def _redis() -> list[Panel]:
    return [
        lines(
            "Redis memory",
            "Memory that Redis uses, and its `maxmemory`.",
            "bytes",
            {"used": USED, "limit": f"{LIMIT} > 0"},
            ["CallworkerRedisMemory"],
        ),
        lines(
            "Redis full in",
            "Time until `maxmemory` at the growth of the last hours. A gap: it does not grow, or has no limit.",
            "s",
            {"full in": "min(callworker_redis_memory_full_seconds) < Inf"},
            ["CallworkerRedisFilling"],
            marks={86400: "red"},
        ),
        lines(
            "What fills Redis",
            "Waiting jobs, events not yet confirmed, and webhook deliveries not yet made.",
            "short",
            {
                "waiting jobs": shared_sum("callworker_jobs_waiting"),
                "unpublished events": "max(callworker_results_unpublished)",
                "webhook deliveries": shared_sum("callworker_webhook_pending"),
            },
            ["CallworkerRedisFilling"],
        ),
    ]


def _load() -> list[Panel]:
    return [
        lines(
            "Jobs in and out",
            "Jobs accepted and ended a second. Where the first stays above the second, jobs pile up.",
            "cps",
            {
                "accepted": rate("callworker_jobs_accepted_total"),
                "ended": rate("callworker_jobs_finished_total"),
                "published": rate("callworker_results_published_total"),
            },
        ),
        lines(
            "Messages in the broker, by queue",
            "Jobs that no worker has taken yet, and results that nobody has read.",
            "short",
            {"{{queue}}": worst("max by (queue) (callworker_queue_depth)")},
            ["CallworkerQueueNotTaken", "CallworkerResultsUnread"],
        ),
        lines(
            "Calls in flight, busiest workers",
            "Requests to the provider that are under way.",
            "short",
            {"{{instance}}": worst("callworker_calls_in_flight")},
        ),
    ]


def _processes() -> list[Panel]:
    return [
        lines(
            "CPU, busiest workers",
            "Processor time that a worker takes, in processors. One is the most that it can use.",
            "short",
            {"{{instance}}": worst(f"(rate(process_cpu_seconds_total[$__rate_interval]) {OF_WORKERS})")},
            marks={1: "red"},
        ),
        lines(
            "Memory, largest workers",
            "Memory of a worker that is in RAM.",
            "bytes",
            {"{{instance}}": worst(f"(process_resident_memory_bytes {OF_WORKERS})")},
        ),
        lines(
            "Open files, most of them",
            "Files and connections of a worker, as a share of the most that it may have.",
            "percentunit",
            {"{{instance}}": worst(f"(process_open_fds / process_max_fds {OF_WORKERS})")},
            marks={0.8: "orange"},
            top=1,
        ),
    ]
