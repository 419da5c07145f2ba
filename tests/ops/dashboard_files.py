"""What the Grafana dashboards ask Prometheus, with the variables filled in as Grafana would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "ops/grafana/dashboards"


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by its file's name."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels that show something, those of collapsed rows included."""
    for panel in dashboard["panels"]:
        yield from panels(panel) if panel["type"] == "row" else [panel]


def dashboard_queries(
    account: str = "acme",
    endpoint: str = ".*",
    instance: str = "w1",
    rate_interval: str = "1m",
    time_range: str = "1h",
) -> list[str]:
    """Every panel's PromQL over all dashboards, without repeats, ready to be sent to a Prometheus.

    `account` and `instance` are names, `endpoint` is a regular expression, the other two are PromQL durations.
    """
    values = {
        "$account": account,
        "$endpoint": endpoint,
        "$instance": instance,
        "$__rate_interval": rate_interval,
        "$__range": time_range,
    }
    queries: dict[str, None] = {}
    for dashboard in dashboards().values():
        for panel in panels(dashboard):
            queries |= {_filled(target["expr"], values): None for target in panel["targets"]}
    return list(queries)


def _filled(expression: str, values: dict[str, str]) -> str:
    for variable, value in values.items():
        expression = expression.replace(variable, value)
    return expression
