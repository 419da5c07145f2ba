"""Values with their units, as words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from ops.board.reading import Panel

TIMES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
COUNTS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
BYTES = ((1024.0**3, " GiB"), (1024.0**2, " MiB"), (1024.0, " KiB"))
SUFFIXES = {"cps": "/s", "reqps": "/s", "short": ""}


def worded(value: float, unit: str) -> str:
    """Return a value as a person reads it: `unit` is one of Grafana's."""
    if math.isnan(value):
        return "no data"
    if math.isinf(value):
        return "∞"
    if unit == "percentunit":
        return f"{_number(100 * value)} %"
    if unit == "s":
        return _time(value)
    if unit == "bytes":
        return _scaled(value, BYTES) if abs(value) >= 1024 else f"{_number(value)} B"
    return _scaled(value, COUNTS) + SUFFIXES.get(unit, f" {unit}")


def shown(panel: Panel, value: float) -> tuple[str, str]:
    """Return what a tile says of its value (NaN: none), and in which colour."""
    if math.isnan(value):
        return "no data", panel.silent
    word = (panel.words or {}).get(f"{value:g}")
    if word:
        return word
    return worded(value, panel.unit), [colour for least, colour in panel.steps if value >= least][-1]


def named(legend: str, labels: Mapping[str, str]) -> str:
    """Fill a legend's labels in; without a legend all labels are named."""
    if not legend:
        return ", ".join(value for name, value in labels.items() if name != "__name__")
    return re.sub(r"{{\s*(\w+)\s*}}", lambda match: labels.get(match[1], ""), legend).strip()


def _time(value: float) -> str:
    for size, name in TIMES:
        if abs(value) >= size:
            return f"{_number(value / size)} {name}"
    return (
        f"{_number(1000 * value)} ms"
        if abs(value) >= 5e-4
        else f"{_number(1e6 * value)} µs"
        if value
        else "0 s"
    )


def _scaled(value: float, sizes: tuple[tuple[float, str], ...]) -> str:
    for size, name in sizes:
        if abs(value) >= size:
            return f"{_number(value / size)}{name}"
    return _number(value)


def _number(value: float) -> str:
    """Three figures, without those that say nothing."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{float(f'{value:.3g}'):g}"
