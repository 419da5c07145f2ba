"""A dashboard's file, as the panels that are drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Query:
    """A PromQL expression without variables, and the legend of its series: `{{label}}` stands for a label's value."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel, or the title of a row: `kind` is row, stat, timeseries, heatmap or table.

    `steps` are the colours by the value from which on they hold, lowest first. `words` are shown in place of a value,
    and `silent` is the colour of no value. Places and sizes are in Grafana's grid: 24 columns.
    """

    kind: str
    title: str
    x: int
    y: int
    width: int
    height: int
    unit: str = "short"
    queries: tuple[Query, ...] = ()
    steps: tuple[tuple[float, str], ...] = ()
    words: Mapping[str, tuple[str, str]] | None = None
    silent: str = "text"
    stacked: bool = False
    least: float = 0.0
    most: float | None = None
    logarithmic: bool = False


@dataclass(frozen=True)
class Note:
    """What annotations mark: each moment at which a series of the expression begins."""

    name: str
    expression: str
    colour: str


@dataclass(frozen=True)
class Board:
    """A dashboard."""

    title: str
    panels: tuple[Panel, ...]
    notes: tuple[Note, ...]


def read(path: Path, variables: Mapping[str, str]) -> Board:
    """Return the dashboard of a file, with `variables` filled in by name. Those that have all values take all."""
    found = json.loads(path.read_text(encoding="utf-8"))
    chosen = {one["name"]: one.get("allValue") or ".*" for one in found["templating"]["list"]} | dict(
        variables
    )
    notes = (Note(one["name"], one["expr"], one["iconColor"]) for one in found["annotations"]["list"])
    return Board(found["title"], tuple(_panels(found["panels"], chosen)), tuple(notes))


def _panels(panels: list[dict[str, Any]], variables: Mapping[str, str]) -> Iterator[Panel]:
    for panel in panels:
        yield _panel(panel, variables)
        yield from _panels(panel.get("panels") or [], variables)


def _panel(panel: dict[str, Any], variables: Mapping[str, str]) -> Panel:
    place = panel["gridPos"]
    corner = panel["type"], panel["title"], place["x"], place["y"], place["w"], place["h"]
    if panel["type"] == "row":
        return Panel(*corner)
    looks = panel["fieldConfig"]["defaults"]
    drawn = looks.get("custom") or {}
    words, silent = _words(looks.get("mappings") or [])
    return Panel(
        *corner,
        unit=looks["unit"],
        queries=tuple(
            Query(filled(target["expr"], variables), target.get("legendFormat", ""))
            for target in panel["targets"]
        ),
        steps=_steps(looks),
        words=words,
        silent=silent,
        stacked=(drawn.get("stacking") or {}).get("mode") == "normal",
        least=looks.get("min") or 0.0,
        most=looks.get("max") or drawn.get("axisSoftMax"),
        logarithmic=(drawn.get("scaleDistribution") or {}).get("type") == "log",
    )


def _steps(looks: dict[str, Any]) -> tuple[tuple[float, str], ...]:
    steps = (looks.get("thresholds") or {}).get("steps") or []
    return tuple((float("-inf") if step["value"] is None else step["value"], step["color"]) for step in steps)


def _words(mappings: list[dict[str, Any]]) -> tuple[dict[str, tuple[str, str]], str]:
    words, silent = {}, "text"
    for mapping in mappings:
        if mapping["type"] == "special":
            silent = mapping["options"]["result"]["color"]
        else:
            words = {value: (one["text"], one["color"]) for value, one in mapping["options"].items()}
    return words, silent


def filled(text: str, variables: Mapping[str, str]) -> str:
    """Put values in the place of `$name`, longer names first, so that none is taken for the beginning of another."""
    for name in sorted(variables, key=len, reverse=True):
        text = text.replace(f"${name}", variables[name])
    return text
