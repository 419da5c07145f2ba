"""Dashboards drawn as pictures: what is read of their files, how values are worded, and the picture itself."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PIL import Image

from ops.board.__main__ import FOLDER, NAMES, timing
from ops.board.asking import Prometheus, Series, seconds
from ops.board.drawing import WIDTH, Page
from ops.board.plotting import Span, begins
from ops.board.reading import Panel, filled, read
from ops.board.wording import named, shown, worded

NOW = 999_990.0
TILE = Panel(
    "stat", "Redis", 0, 0, 3, 3, steps=((-math.inf, "red"), (1, "green"), (2, "red")), words={"0": ("down", "red")},
    silent="red",
)  # fmt: skip
WORDED = {
    (0.9312, "percentunit"): "93.1 %",
    (1234567, "short"): "1.23M",
    (15.25, "reqps"): "15.2/s",
    (5400, "s"): "1.5 h",
    (0.0123, "s"): "12.3 ms",
    (0, "s"): "0 s",
    (3 * 1024**3, "bytes"): "3 GiB",
    (math.inf, "s"): "∞",
}


class Filled(Prometheus):
    """Answers every query with the same series: buckets of a histogram, which curves and tables can be made of too."""

    def at(self, query: str, moment: float) -> list[Series]:
        return [Series({"account": "acme"}, {moment: 1.0})]

    def over(self, query: str, start: float, end: float, step: float) -> list[Series]:
        if "ALERTS" in query:
            return [Series({"alertname": "CallworkerDown"}, {end - 2 * step: 1.0, end - step: 1.0})]
        moments = [start + n * step for n in range(round((end - start) / step) + 1)]
        return [
            Series({"le": bound}, dict.fromkeys(moments, 3.0 * n)) for n, bound in enumerate(("1.0", "+Inf"))
        ]


class Empty(Prometheus):
    """Has no data at all."""

    def at(self, query: str, moment: float) -> list[Series]:
        return []

    def over(self, query: str, start: float, end: float, step: float) -> list[Series]:
        return []


@pytest.mark.parametrize(("name", "prometheus"), [("overview", Filled), ("webhooks", Empty)])
def test_dashboard_is_drawn(tmp_path: Path, name: str, prometheus: type[Prometheus]) -> None:
    """A dashboard with panels of every kind becomes a picture of the page's width, and so does one without data."""
    span, variables = timing(NOW, 3600, 15)
    board = read(FOLDER / f"{name}.json", variables | {"account": "acme", "instance": "w1"})
    Page(board, prometheus(""), span).save(tmp_path / "boards/board.png")
    with Image.open(tmp_path / "boards/board.png") as image:
        assert image.width == WIDTH
        assert len(image.getcolors() or []) > 10


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_filled_in(name: str) -> None:
    """No query of a dashboard keeps the name of a variable, and each has a unit to be shown with."""
    _, variables = timing(NOW, 3600, 15)
    board = read(FOLDER / f"{name}.json", variables | {"account": "acme", "instance": "w1"})
    assert not [query for panel in board.panels for query in panel.queries if "$" in query.expression]


def test_variable_is_not_taken_for_the_beginning_of_another() -> None:
    """`$account` and `$accounts` are told apart."""
    assert filled("$accounts $account", {"account": "a", "accounts": "b"}) == "b a"


@pytest.mark.parametrize(("value", "unit"), WORDED)
def test_value_is_worded_with_its_unit(value: float, unit: str) -> None:
    """Three figures at most, and the unit that suits the size."""
    assert worded(value, unit) == WORDED[value, unit]


@pytest.mark.parametrize(
    ("value", "told"), [(0, ("down", "red")), (1, ("1", "green")), (2.5, ("2.5", "red"))]
)
def test_tile_has_the_colour_of_its_value(value: float, told: tuple[str, str]) -> None:
    """A mapped value has its word; others are judged by the highest step that they reach."""
    assert shown(TILE, value) == told


def test_tile_without_a_value_has_the_colour_of_silence() -> None:
    """No data is no good news."""
    assert shown(TILE, math.nan) == ("no data", "red")


def test_legend_names_the_labels_that_it_asks_for() -> None:
    """Without a legend, all labels are named except the metric's."""
    labels = {"__name__": "callworker_places", "account": "acme", "reason": "held"}
    assert named("{{account}}: {{ reason }}", labels) == "acme: held"
    assert named("", labels) == "acme, held"


def test_note_marks_each_begin_of_its_series() -> None:
    """An alert that ends and fires again is marked twice."""
    assert begins(Series({}, dict.fromkeys((0.0, 15.0, 60.0, 75.0), 1.0)), 15) == [0, 60]


def test_durations_are_those_of_prometheus() -> None:
    """What is none is refused, with what is allowed."""
    assert (seconds("1h30m"), seconds("500ms")) == (5400, 0.5)
    with pytest.raises(ValueError, match="an hour.*is no duration such as 15s"):
        seconds("an hour")


def test_time_is_filled_in_as_grafana_does() -> None:
    """A rate looks back over at least four scrapes, and the end is a whole step."""
    span, variables = timing(NOW + 3, 2400, 15)
    assert span == Span(NOW - 2400, NOW, 15)
    assert variables == {"__rate_interval": "60000ms", "__range": "2400s", "__interval": "15s"}
