"""Curves, heatmaps and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, pairwise

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FixedLocator, FuncFormatter, Locator, MaxNLocator, MultipleLocator
from PIL import Image

from ops.board.asking import Series
from ops.board.reading import Panel
from ops.board.wording import worded

INKS = (
    "#3d71c4",
    "#e0752d",
    "#3f9f5f",
    "#a352b5",
    "#c7a012",
    "#2aa3a3",
    "#d64545",
    "#7d6ad0",
    "#8a6d4b",
    "#6b7280",
)
COLOURS = {
    "green": "#3b9a5a",
    "orange": "#e8891d",
    "red": "#d33f49",
    "blue": "#3d71c4",
    "purple": "#8a4fc4",
    "text": "#8a8f98",
}
GRID, GROUND, EDGE, BAR = "#e3e6ea", "#f0f2f5", "#d5d9df", "#dbe6f7"
HEAT = "YlOrBr"
FAINT = "#6b7280"
TICKS = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800)


@dataclass(frozen=True)
class Span:
    """The time that is drawn, in Unix seconds, and the seconds between two values."""

    start: float
    end: float
    step: float

    def moments(self) -> list[float]:
        return [self.start + n * self.step for n in range(round((self.end - self.start) / self.step) + 1)]

    def values(self, series: Series) -> list[float]:
        """The values of all moments, NaN where there is none."""
        known = {round(moment, 2): value for moment, value in series.points.items()}
        return [known.get(round(moment, 2), math.nan) for moment in self.moments()]


def curves(axes: Axes, panel: Panel, series: Sequence[Series], span: Span) -> None:
    """Draw curves, stacked or each for itself, and the marks across them."""
    _time_axis(axes, span)
    moments, floor = span.moments(), np.zeros(len(span.moments()))
    for one, ink in zip(series, cycle(INKS), strict=False):
        values = np.array(span.values(one))
        if panel.stacked:
            top = floor + np.nan_to_num(values)
            axes.fill_between(moments, floor, top, color=ink, alpha=0.35, linewidth=0)
            axes.plot(moments, np.where(values > 0, top, np.nan), color=ink, linewidth=1.1)
            floor = top
        else:
            axes.plot(moments, values, color=ink, linewidth=1.3)
    _value_axis(axes, panel)


def _value_axis(axes: Axes, panel: Panel) -> None:
    highest = axes.dataLim.y1 if axes.dataLim.y1 > 0 else 1.0
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.set_ylim(panel.least, max(highest, panel.most or 0))
    else:
        axes.yaxis.set_major_locator(_ticks(panel.unit, highest))
        axes.set_ylim(0, panel.most * 1.03 if panel.most else highest * 1.06)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: worded(value, panel.unit)))
    _marks(axes, panel)


def _ticks(unit: str, highest: float) -> Locator:
    """Return about five ticks; those of bytes are powers of two apart, so that they read well."""
    if unit != "bytes":
        return MaxNLocator(5)
    return MultipleLocator(2.0 ** math.ceil(math.log2(max(highest, 5) / 5)))


def _marks(axes: Axes, panel: Panel) -> None:
    """Draw a line at each of the panel's marks that is near what it shows."""
    least, most = axes.get_ylim()
    for value, colour in panel.steps:
        if colour != "transparent" and math.isfinite(value) and value <= 3 * most:
            axes.axhline(value, color=COLOURS.get(colour, colour), linewidth=1, linestyle=(0, (5, 3)))
            axes.set_ylim(least, max(axes.get_ylim()[1], value))


def _time_axis(axes: Axes, span: Span) -> None:
    apart = next((tick for tick in TICKS if (span.end - span.start) / tick <= 6), TICKS[-1])
    first = math.ceil(span.start / apart) * apart
    axes.xaxis.set_major_locator(FixedLocator(list(np.arange(first, span.end + 1, apart))))
    form = "%H:%M:%S" if apart < 60 else "%H:%M" if apart < 86400 else "%d %b"
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda moment, _: datetime.fromtimestamp(moment, UTC).strftime(form))
    )
    axes.set_xlim(span.start, span.end)


def heatmap(axes: Axes, series: Sequence[Series], span: Span) -> None:
    """Draw how many observations fell between two bounds of a histogram. Empty rows above and below are left out."""
    bounds = sorted(series, key=lambda one: float(one.labels["le"]))
    totals = np.array([span.values(one) for one in bounds])
    cells = np.clip(np.nan_to_num(np.diff(totals, axis=0, prepend=0)), 0, None)
    used = [row for row in range(len(bounds)) if cells[row].max(initial=0) > 0]
    rows = range(max(used[0] - 1, 0), min(used[-1] + 2, len(bounds))) if used else range(len(bounds))
    shown = np.ma.masked_less_equal(cells[rows.start : rows.stop], 0.0)
    edges = [moment - span.step for moment in span.moments()] + [span.end]
    axes.pcolormesh(edges, np.arange(len(rows) + 1), shown, cmap=HEAT, vmin=0)
    _time_axis(axes, span)
    labels = [_bound(bounds[row].labels["le"]) for row in rows]
    axes.set_yticks(range(1, len(rows) + 1), labels)
    axes.grid(visible=False)


def _bound(text: str) -> str:
    return "∞" if text == "+Inf" else worded(float(text), "s")


def listing(axes: Axes, panel: Panel, series: Sequence[Series], rows: int) -> None:
    """Write series as a table, with a bar behind each that is as long as its share of the highest."""
    axes.set_axis_off()
    if not series:
        axes.text(0.5, rows / 2, "no data", ha="center", va="center", color=FAINT, fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_ylim(rows, 0)
    ranked = sorted(series, key=lambda one: one.last, reverse=True)[:rows]
    highest = max([one.last for one in ranked if one.last > 0], default=1.0)
    for row, one in enumerate(ranked):
        name = "  ".join(value for label, value in one.labels.items() if label != "__name__")
        axes.barh(row + 0.5, max(one.last, 0) / highest, height=0.72, color=BAR)
        axes.text(0.012, row + 0.5, name, va="center", fontsize=8.5)
        axes.text(0.988, row + 0.5, worded(one.last, panel.unit), va="center", ha="right", fontsize=8.5)


def palette() -> Image.Image:
    """Return the colours of a picture: those of curves and tiles with lighter shades, greys, and the heatmap's."""
    plain = [to_rgb(colour) for colour in dict.fromkeys((*INKS, *COLOURS.values()))]
    shades = [tuple(1 - light * (1 - part) for part in colour) for colour in plain for light in (1, 0.35)]
    greys = [(level / 9,) * 3 for level in range(10)]
    heat = [colormaps[HEAT](level / 7)[:3] for level in range(8)]
    ground = [to_rgb(colour) for colour in (GROUND, GRID, EDGE, BAR)]
    image = Image.new("P", (1, 1))
    image.putpalette([round(255 * part) for colour in (*shades, *greys, *heat, *ground) for part in colour])
    return image


def begins(series: Series, step: float) -> list[float]:
    """Return the moments at which a series begins, after each gap too."""
    moments = sorted(series.points)
    return moments[:1] + [later for earlier, later in pairwise(moments) if later - earlier > 1.5 * step]
