"""One worker: what it stands on, its places, its share of the work, its process."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.dashboards.frame import assemble, picked
from ops.dashboards.panels import Panel, lines, tile
from ops.dashboards.promql import rate

OF_IT = '{instance="$instance"}'


def dashboard() -> Dashboard:
    rows = {
        "Now": [*_servers(), *_itself()],
        "Work": _work(),
        "Process": _process(),
        "Health over time": _health(),
    }
    worker = picked("instance", "Worker", "label_values(callworker_build_info, instance)")
    return assemble("worker", "One worker: its health, its share of the work, its process.", rows, [worker])


def _its(metric: str) -> str:
    return f"callworker_{metric}{OF_IT}"


def _servers() -> list[Panel]:
    store, broker = _its("store_up"), _its("broker_up")
    return [
        tile(
            "Answers",
            "Whether the worker answers Prometheus.",
            f"max(up{OF_IT})",
            {None: "red", 1: "green"},
            ["CallworkerDown"],
            words={0: ("no", "red"), 1: ("yes", "green")},
        ),
        tile(
            "Loops turn",
            "How many times in the last minute a scrape found that the worker's loops had turned.",
            f"max(changes({_its('last_progress_timestamp_seconds')}[1m]))",
            {None: "red", 1: "green"},
            ["CallworkerNoProgress"],
            words={0: ("no", "red")},
        ),
        tile(
            "Redis",
            "Whether the worker reaches Redis, and Redis takes its writes.",
            f"max({store}) * (2 - max({_its('store_writable')})) or max({store})",
            {None: "red", 1: "green", 2: "red"},
            ["CallworkerStoreDown", "CallworkerStoreCannotWrite"],
            words={0: ("down", "red"), 1: ("up", "green"), 2: ("no writes", "red")},
        ),
        tile(
            "Broker",
            "Whether the worker reaches the broker, and it takes messages.",
            f"max({broker}) * (1 + max({_its('broker_blocked')})) or max({broker})",
            {None: "red", 1: "green", 2: "red"},
            ["CallworkerBrokerDown", "CallworkerBrokerBlocked"],
            words={0: ("down", "red"), 1: ("up", "green"), 2: ("blocked", "red")},
        ),
    ]


def _itself() -> list[Panel]:
    return [
        tile(
            "Dialling",
            "Paused while the worker dials nothing, because events cannot leave or Redis takes no writes.",
            f"max({_its('dialling_paused')})",
            {None: "green", 1: "red"},
            ["CallworkerDiallingPaused"],
            words={0: ("on", "green"), 1: ("paused", "red")},
        ),
        tile(
            "Places used",
            "Share of the worker's places that have a call under way.",
            f"max({_its('places_used')}) / max({_its('places')})",
            {None: "green", 0.9: "orange"},
            ["CallworkerNoPlaces"],
            unit="percentunit",
        ),
        tile(
            "Clock offset",
            "The difference between the worker's clock and that of Redis.",
            f"max(abs({_its('clock_offset_seconds')}))",
            {None: "green", 5: "orange", 60: "red"},
            ["CallworkerClockOff"],
            unit="s",
        ),
        tile(
            "Serves what is shared",
            "Whether this worker is the one that tells of all workers together. One of them does, whichever it is.",
            f"max({_its('shared_state_served')})",
            {None: "blue"},
            words={0: ("no", "blue"), 1: ("yes", "blue")},
        ),
    ]


def _work() -> list[Panel]:
    return [
        lines(
            "Places",
            "Calls that the worker can have under way, those that have a place, and requests in flight.",
            "short",
            {"places": _its("places"), "used": _its("places_used"), "in flight": _its("calls_in_flight")},
            ["CallworkerNoPlaces"],
        ),
        lines(
            "Jobs",
            "Jobs that this worker accepted and ended, and events of it that the broker confirmed, a second.",
            "cps",
            {
                "accepted": rate(_its("jobs_accepted_total")),
                "ended": rate(_its("jobs_finished_total")),
                "published": rate(_its("results_published_total")),
            },
        ),
        lines(
            "Provider requests, by result",
            "Requests of this worker to the provider a second.",
            "reqps",
            {"{{result}}": rate(_its("provider_requests_total"), "result")},
            ["CallworkerProviderErrors"],
            stacked=True,
        ),
    ]


def _process() -> list[Panel]:
    return [
        lines(
            "CPU",
            "Processor time that the process takes, in processors. One is the most that it can use.",
            "short",
            {"CPU": f"rate(process_cpu_seconds_total{OF_IT}[$__rate_interval])"},
            marks={1: "red"},
        ),
        lines(
            "Memory",
            "Memory of the process that is in RAM.",
            "bytes",
            {"resident": f"process_resident_memory_bytes{OF_IT}"},
        ),
        lines(
            "Open files",
            "Files and connections of the process.",
            "short",
            {"open": f"process_open_fds{OF_IT}"},
        ),
        lines(
            "Use of the most files",
            "Open files as a share of the most that the process may have.",
            "percentunit",
            {"used": f"process_open_fds{OF_IT} / process_max_fds{OF_IT}"},
            marks={0.8: "orange"},
            top=1,
        ),
        lines(
            "Faults of the program",
            "Loops' turns that ended in a fault of the program, leases lost to another worker, log lines dropped.",
            "cps",
            {
                "loop {{loop}}": rate(_its("loop_failures_total"), "loop"),
                "leases lost": rate(_its("leases_lost_total")),
                "log lines dropped": rate(_its("log_lines_dropped_total")),
            },
            ["CallworkerNoProgress"],
        ),
    ]


def _health() -> list[Panel]:
    return [
        lines(
            "Servers",
            "1 while the worker reaches Redis, Redis takes its writes, and it reaches the broker.",
            "short",
            {"Redis": _its("store_up"), "writes": _its("store_writable"), "broker": _its("broker_up")},
            ["CallworkerStoreDown", "CallworkerStoreCannotWrite", "CallworkerBrokerDown"],
            top=1,
        ),
        lines(
            "Stops",
            "1 while the worker dials nothing, by cause, or the broker takes no messages.",
            "short",
            {"{{cause}}": _its("dialling_paused"), "broker blocked": _its("broker_blocked")},
            ["CallworkerDiallingPaused", "CallworkerBrokerBlocked"],
            top=1,
        ),
        lines(
            "Clock offset",
            "The difference between the worker's clock and that of Redis.",
            "s",
            {"offset": f"abs({_its('clock_offset_seconds')})"},
            ["CallworkerClockOff"],
        ),
    ]
