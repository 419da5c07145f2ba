"""The page: rows, panels, tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from ops.board.asking import Prometheus, Series
from ops.board.plotting import (
    COLOURS,
    EDGE,
    FAINT,
    GRID,
    GROUND,
    INKS,
    Span,
    begins,
    curves,
    heatmap,
    listing,
    palette,
)
from ops.board.reading import Board, Panel
from ops.board.wording import named, shown

WIDTH, MARGIN, GAP, HEAD = 1600, 16, 8, 52
UNIT = 25
"""Pixels of one row of Grafana's grid."""
DPI = 100
COLUMN = (WIDTH - 2 * MARGIN) / 24
LETTER = 5.6
"""About the width of a letter of a legend, in pixels."""
MOST_SERIES = 12
ROWS_OF_TABLE = 9


@dataclass(frozen=True)
class Box:
    """A rectangle of the page in pixels, from its top left corner."""

    left: float
    top: float
    width: float
    height: float


class Page:
    """A dashboard as a picture."""

    def __init__(self, board: Board, prometheus: Prometheus, span: Span) -> None:
        self._board, self._prometheus, self._span = board, prometheus, span
        self._height = HEAD + UNIT * max(panel.y + panel.height for panel in board.panels) + MARGIN
        self._figure = Figure(figsize=(WIDTH / DPI, self._height / DPI), dpi=DPI, facecolor=GROUND)
        FigureCanvasAgg(self._figure)
        self._sheet = self._axes(Box(0, 0, WIDTH, self._height))
        self._sheet.set_axis_off()
        self._sheet.set_xlim(0, WIDTH)
        self._sheet.set_ylim(self._height, 0)
        self._notes = self._moments()

    def save(self, path: Path) -> None:
        """Draw the page and write it to a PNG file of few colours."""
        self._header()
        for panel in self._board.panels:
            self._panel(panel)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._figure.savefig(path, dpi=DPI, facecolor=self._figure.get_facecolor())
        with Image.open(path) as image:
            few = image.convert("RGB").quantize(palette=palette(), dither=Image.Dither.NONE)
        few.save(path, optimize=True)

    def _header(self) -> None:
        self._sheet.text(MARGIN, 27, self._board.title, fontsize=15, fontweight="bold", va="center")
        times = [
            datetime.fromtimestamp(moment, UTC).strftime("%H:%M")
            for moment in (self._span.start, self._span.end)
        ]
        self._sheet.text(
            WIDTH - MARGIN,
            27,
            f"{times[0]} to {times[1]} UTC",
            fontsize=10,
            color=FAINT,
            va="center",
            ha="right",
        )

    def _panel(self, panel: Panel) -> None:
        box = Box(
            MARGIN + panel.x * COLUMN + GAP / 2,
            HEAD + panel.y * UNIT + GAP / 2,
            panel.width * COLUMN - GAP,
            panel.height * UNIT - GAP,
        )
        if panel.kind == "row":
            self._sheet.text(
                box.left,
                box.top + 13,
                panel.title,
                fontsize=11.5,
                fontweight="bold",
                color="#374151",
                va="center",
            )
        elif panel.kind == "stat":
            self._tile(panel, box)
        else:
            self._plot(panel, box)

    def _tile(self, panel: Panel, box: Box) -> None:
        series = self._prometheus.at(panel.queries[0].expression, self._span.end)
        text, colour = shown(panel, series[0].last if series else float("nan"))
        self._card(box, COLOURS.get(colour, colour))
        self._sheet.text(box.left + 10, box.top + 16, panel.title, fontsize=9.5, color="white", va="center")
        middle = box.left + box.width / 2, box.top + box.height / 2 + 11
        self._sheet.text(
            *middle, text, fontsize=20, fontweight="bold", color="white", va="center", ha="center"
        )

    def _plot(self, panel: Panel, box: Box) -> None:
        self._card(box, "white")
        self._sheet.text(
            box.left + 10, box.top + 16, panel.title, fontsize=10, fontweight="bold", va="center"
        )
        if panel.kind == "table":
            inside = Box(box.left + 10, box.top + 32, box.width - 20, box.height - 42)
            listing(
                self._axes(inside),
                panel,
                self._prometheus.at(panel.queries[0].expression, self._span.end),
                ROWS_OF_TABLE,
            )
        else:
            self._over_time(panel, box)

    def _over_time(self, panel: Panel, box: Box) -> None:
        found = self._series(panel)
        legend = [] if panel.kind == "heatmap" else _in_lines([name for name, _ in found], box.width - 24)
        below = 26 + 15 * len(legend)
        axes = self._axes(Box(box.left + 62, box.top + 34, box.width - 78, box.height - 34 - below))
        self._dress(axes)
        series = [one for _, one in found]
        if not series:
            axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=FAINT)
        if panel.kind == "heatmap" and series:
            heatmap(axes, series, self._span)
        elif panel.kind == "timeseries":
            curves(axes, panel, series, self._span)
            self._legend(legend, box, box.top + box.height - 15 * len(legend) + 2)
        self._mark(axes)

    def _series(self, panel: Panel) -> list[tuple[str, Series]]:
        """Return the series that are drawn with their legends: of many, those that are highest at any moment."""
        span = self._span
        found = [
            (named(query.legend, one.labels), one)
            for query in panel.queries
            for one in self._prometheus.over(query.expression, span.start, span.end, span.step)
        ]
        if panel.kind == "heatmap" or len(found) <= MOST_SERIES:
            return found
        kept = sorted(found, key=lambda each: max(each[1].points.values()), reverse=True)[:MOST_SERIES]
        return [each for each in found if each in kept]

    def _legend(self, lines: Sequence[Sequence[str]], box: Box, top: float) -> None:
        inks = iter(INKS * 2)
        for number, line in enumerate(lines):
            left = box.left + 14
            for name in line:
                self._sheet.plot([left, left + 12], [top + 15 * number] * 2, color=next(inks), linewidth=2.5)
                self._sheet.text(
                    left + 16, top + 15 * number, name, fontsize=7.5, va="center", color="#374151"
                )
                left += 30 + LETTER * len(name)

    def _moments(self) -> list[tuple[float, str]]:
        """Return what the annotations mark: moments and their colours."""
        span = self._span
        return [
            (moment, COLOURS.get(note.colour, note.colour))
            for note in self._board.notes
            for series in self._prometheus.over(note.expression, span.start, span.end, span.step)
            for moment in begins(series, span.step)
            if moment > span.start
        ]

    def _mark(self, axes: Axes) -> None:
        for moment, colour in self._notes:
            axes.axvline(moment, color=colour, linewidth=0.9, linestyle=":")

    def _card(self, box: Box, colour: str) -> None:
        shape = FancyBboxPatch(
            (box.left, box.top),
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=4",
            facecolor=colour,
            edgecolor=EDGE if colour == "white" else colour,
            linewidth=0.8,
        )
        self._sheet.add_patch(shape)

    def _axes(self, box: Box) -> Axes:
        bottom = self._height - box.top - box.height
        place = box.left / WIDTH, bottom / self._height, box.width / WIDTH, box.height / self._height
        return self._figure.add_axes(place)

    def _dress(self, axes: Axes) -> None:
        axes.grid(visible=True, color=GRID, linewidth=0.7)
        axes.tick_params(labelsize=7.5, colors=FAINT, length=0)
        for side, line in axes.spines.items():
            line.set_visible(side == "bottom")
            line.set_color(GRID)


def _in_lines(names: Sequence[str], width: float, most: int = 3) -> list[list[str]]:
    """Break a legend into lines of at most `width` pixels. What does not fit into `most` lines is left out."""
    lines: list[list[str]] = [[]]
    used = 0.0
    for name in names:
        needed = 30 + LETTER * len(name)
        if lines[-1] and used + needed > width:
            lines.append([])
            used = 0.0
        lines[-1].append(name)
        used += needed
    return lines[:most] if names else []
