"""Which tiles of the overview's first row are not green, asked from Prometheus as Grafana would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.pages import scaling
from ops.pages.monitoring import Prometheus

OVERVIEW = Path(__file__).parents[1] / "grafana/dashboards/overview.json"
ROW = "Now"
VARIABLES = {
    "$account": ".*",
    "$endpoint": ".*",
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$__interval": "15s",
}
"""What Grafana would put in, for the last hour at the shipped scrape interval."""

GREEN = "green"
NEUTRAL = ("blue", "text", "transparent")
"""Colours of tiles that do not judge."""


@dataclass(frozen=True)
class Tile:
    """A tile: its title, its queries, and its colours, each with the value from which on it holds."""

    title: str
    queries: Sequence[str]
    steps: Sequence[tuple[float, str]]
    named: Mapping[float, str] = field(default_factory=dict)
    """Colours of single values, which go before the steps."""

    @property
    def judges(self) -> bool:
        return any(colour not in NEUTRAL for _, colour in self.steps)

    def colour(self, value: float) -> str:
        reached = [colour for least, colour in self.steps if value >= least]
        return self.named.get(value, reached[-1])


def tiles(dashboard: Path = OVERVIEW) -> list[Tile]:
    """Return the tiles of the first row that have a colour for good and one for bad."""
    panels = _row(json.loads(dashboard.read_text(encoding="utf-8"))["panels"])
    found = [_tile(panel) for panel in panels]
    return [tile for tile in found if tile.judges]


def not_green(prometheus: Prometheus, factor: float) -> list[str]:
    """Return the titles of the tiles that are not green now, with their colour or "no data"."""
    told = []
    for tile in tiles():
        values = [value for query in tile.queries for _, value in prometheus.ask(_filled(query, factor))]
        colours = {tile.colour(value) for value in values} - {GREEN, *NEUTRAL} if values else {"no data"}
        told += [f"{tile.title}: {', '.join(sorted(colours))}"] if colours else []
    return told


def _row(panels: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The panels between the row's head and the next."""
    inside = False
    for panel in panels:
        if panel["type"] == "row":
            inside = panel["title"] == ROW
            yield from panel.get("panels", []) if inside else []
        elif inside:
            yield panel


def _tile(panel: dict[str, Any]) -> Tile:
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    levels = [
        (float("-inf") if step["value"] is None else float(step["value"]), step["color"]) for step in steps
    ]
    return Tile(panel["title"], [target["expr"] for target in panel["targets"]], levels, _named(panel))


def _named(panel: dict[str, Any]) -> dict[float, str]:
    mappings = panel["fieldConfig"]["defaults"].get("mappings") or []
    values = [
        item for mapping in mappings if mapping["type"] == "value" for item in mapping["options"].items()
    ]
    return {float(value): shown["color"] for value, shown in values if "color" in shown}


def _filled(query: str, factor: float) -> str:
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    return scaling.expression(query, factor)
