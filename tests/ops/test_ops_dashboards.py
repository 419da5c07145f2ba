"""The Grafana dashboards, as far as they can be judged without a Grafana."""

from __future__ import annotations

import itertools
import re

import pytest

from ops.dashboards.__main__ import written
from tests.ops.dashboard_files import FOLDER, dashboard_queries, dashboards, panels
from worker.telemetry.shared_metrics import SHARED

NAMES = list(dashboards())
RULES = FOLDER.parents[1] / "prometheus/alerts.yml"
PAGE = FOLDER.parents[2] / "docs/explanation/dashboards.md"
OF_ALL = {name for name, (text, _) in SHARED.items() if text.startswith("Shared: ")}
SUMS = re.compile(r"\b(?:sum|count)(?: by \(([^)]*)\))? ?\(callworker_(\w+)")


def test_there_is_an_overview() -> None:
    """The dashboard that Grafana opens with is among the files."""
    assert "overview.json" in NAMES


def test_files_are_what_the_code_makes() -> None:
    """Where one differs or is missing, `make dashboards` writes it."""
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert found == written()


@pytest.mark.parametrize("name", NAMES)
def test_dashboard_panels_are_told_apart_and_explained(name: str) -> None:
    """Each panel has an id and a place of its own, a title, a sentence about it, and a query."""
    shown = list(panels(dashboards()[name]))
    assert len({panel["id"] for panel in shown}) == len(shown)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in shown}) == len(shown)
    assert all(panel["title"] and panel["description"] and panel["targets"] for panel in shown)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in shown)


@pytest.mark.parametrize("name", NAMES)
def test_dashboard_uses_the_data_source_that_the_reader_picks(name: str) -> None:
    """No panel or query is bound to one Grafana's own data source."""
    for panel in panels(dashboards()[name]):
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}


@pytest.mark.parametrize("name", NAMES)
def test_dashboard_leads_to_the_others_and_tells_of_alerts_and_starts(name: str) -> None:
    """What is picked is carried over; alerts, starts of workers and new versions are marked."""
    (link,) = dashboards()[name]["links"]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        ["callworker"],
        True,
        True,
    )
    notes = {note["name"] for note in dashboards()[name]["annotations"]["list"]}
    assert notes == {"Alerts", "Worker starts", "New versions"}


@pytest.mark.parametrize("name", NAMES)
def test_tile_is_never_green_without_data(name: str) -> None:
    """A tile that can be green is red when nothing answers, and says so."""
    for panel in panels(dashboards()[name]):
        looks = panel["fieldConfig"]["defaults"]
        if panel["type"] == "stat" and "green" in {step["color"] for step in looks["thresholds"]["steps"]}:
            (silent,) = [each["options"] for each in looks["mappings"] if each["type"] == "special"]
            assert (silent["match"], silent["result"]["color"]) == ("null+nan", "red"), panel["title"]
            assert looks["noValue"] == "no data"


def test_no_query_counts_twice_or_takes_silence_for_zero() -> None:
    """What tells of all workers is not summed over them, zeros come from a worker, and no clock is compared."""
    for query in dashboard_queries():
        assert "vector(" not in query and "time()" not in query
        for by, metric in SUMS.findall(query):
            assert metric not in OF_ALL or "instance" in by, query


def test_first_row_of_the_overview_is_of_tiles_that_judge() -> None:
    """Each asks one instant query, without a variable, and leads to what is to be done."""
    found = dashboards()["overview.json"]["panels"]
    tiles = list(itertools.takewhile(lambda panel: panel["type"] == "stat", found[1:]))
    assert (found[0]["title"], len(tiles)) == ("Now", 24)
    for tile in tiles:
        (target,) = tile["targets"]
        assert target["instant"] and "$" not in target["expr"]
        assert tile["links"]


def test_page_shows_every_dashboard_and_names_every_tile() -> None:
    """The pictures are small, and the table has each tile of the first row."""
    text = PAGE.read_text(encoding="utf-8")
    for name in NAMES:
        picture = f"../images/board-{name.removesuffix('.json')}.png"
        assert f"]({picture})" in text
        assert (PAGE.parent / picture).stat().st_size < 180 * 1024
    told = set(
        re.split(
            r", | \| ", "\n".join(re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)).replace("\n", " | ")
        )
    )
    assert {tile["title"] for tile in dashboards()["overview.json"]["panels"][1:25]} <= told


def test_links_lead_to_alerts_that_exist() -> None:
    """Each alert has a panel that leads to its runbook, and no panel leads to one that is gone."""
    linked = {
        link["url"].partition("/how-to/alerts.html#")[2]
        for name in NAMES
        for panel in panels(dashboards()[name])
        for link in panel.get("links") or []
    }
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8"))
    assert linked == {alert.lower() for alert in alerts}


def test_queries_are_complete() -> None:
    """Every variable is filled in, and none of the queries is asked twice."""
    queries = dashboard_queries(rate_interval="15s", time_range="5m")
    assert len(queries) == len(set(queries)) > 20
    assert not [query for query in queries if "$" in query]
    assert any("[15s]" in query for query in queries)
