"""Divides every duration of the shipped files by one factor, so that minutes pass in seconds.

What counts in a rule stays as it is: ratios, numbers of events, and the times of `NOT_DIVIDED`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WORKERS = "callworker"
"""The job of prometheus.yml that scrapes the workers."""

WAITS = ("callworker_oldest_waiting_seconds", "callworker_webhook_endpoint_oldest_pending_seconds")
"""Gauges of how long something has waited: what a rule compares them with is divided too."""

NOT_DIVIDED = ("callworker_clock_offset_seconds", "callworker_redis_memory_full_seconds")
"""Gauges whose seconds do not pass while a fault lasts: what a rule compares them with stays."""

MILLISECONDS = {
    "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000,
}  # fmt: skip
RECEIVER_WAITS = ("group_wait", "group_interval", "repeat_interval")

_PART = re.compile(r"(\d+)(ms|[smhdwy])")
_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_IN_EXPRESSION = re.compile(r"\[[^\]]+\]|\boffset\s+-?\w+")
_WAITED = re.compile(rf"(\b(?:{'|'.join(WAITS)})\b[^<>]*[<>]=?\s*)([0-9.]+)")


def duration(text: str, factor: float) -> str:
    """Return a duration of Prometheus, as "1h30m", divided by the factor, in whole milliseconds and at least one."""
    whole = sum(int(count) * MILLISECONDS[unit] for count, unit in _PART.findall(text))
    return f"{max(round(whole / factor), 1)}ms"


def expression(text: str, factor: float) -> str:
    """Divide the ranges and offsets of a PromQL expression, and what `WAITS` are compared with."""
    text = _WAITED.sub(lambda found: f"{found[1]}{float(found[2]) / factor:g}", text)
    parts = _QUOTED.split(text)
    parts[::2] = [_IN_EXPRESSION.sub(lambda found: _every(found[0], factor), part) for part in parts[::2]]
    return "".join(parts)


def rules(document: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Divide the durations of a file of rules."""
    return {"groups": [_group(group, factor) for group in document["groups"]]}


def prometheus(document: Mapping[str, Any], factor: float, targets: Path, pager_port: int) -> dict[str, Any]:
    """Divide the durations of prometheus.yml; find the workers in the file `targets`, and Alertmanager on this port.

    Nothing but workers is scraped. A scrape may take as long as Prometheus lets it, but no longer than to the next one.
    """
    every = duration(document["global"]["scrape_interval"], factor)
    timing = {
        "scrape_interval": every,
        "scrape_timeout": every,
        "evaluation_interval": duration(document["global"]["evaluation_interval"], factor),
    }
    alerting = document.get("alerting", {})
    return {
        **document,
        "global": {**document["global"], **timing},
        "scrape_configs": [
            _scraped(job, targets) for job in document["scrape_configs"] if job["job_name"] == WORKERS
        ],
        "alerting": {
            **alerting,
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{pager_port}"]}]}],
        },
    }


def alertmanager(document: Mapping[str, Any], factor: float, url: str) -> dict[str, Any]:
    """Divide the durations of alertmanager.yml, and send every receiver's notifications to `url`."""
    hook = {"url": url, "send_resolved": True}
    return {
        **{name: value for name, value in document.items() if name not in ("global", "templates")},
        "route": _route(document["route"], factor),
        "receivers": [{"name": each["name"], "webhook_configs": [hook]} for each in document["receivers"]],
    }


def _every(text: str, factor: float) -> str:
    return re.sub(r"(?:\d+(?:ms|[smhdwy]))+", lambda found: duration(found[0], factor), text)


def _group(group: Mapping[str, Any], factor: float) -> dict[str, Any]:
    timing = {"interval": duration(group["interval"], factor)} if "interval" in group else {}
    return {**group, **timing, "rules": [_rule(rule, factor) for rule in group["rules"]]}


def _rule(rule: Mapping[str, Any], factor: float) -> dict[str, Any]:
    waits = {name: duration(rule[name], factor) for name in ("for", "keep_firing_for") if name in rule}
    return {**rule, **waits, "expr": expression(str(rule["expr"]), factor)}


def _route(route: Mapping[str, Any], factor: float) -> dict[str, Any]:
    waits = {name: duration(route[name], factor) for name in RECEIVER_WAITS if name in route}
    routes = {"routes": [_route(each, factor) for each in route["routes"]]} if "routes" in route else {}
    return {**route, **waits, **routes}


def _scraped(job: Mapping[str, Any], targets: Path) -> dict[str, Any]:
    """A job of the scrape configuration without its own ways of discovery."""
    kept = {name: value for name, value in job.items() if not name.endswith("_sd_configs")}
    kept.pop("static_configs", None)
    return {**kept, "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}]}
