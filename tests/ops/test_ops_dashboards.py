"""The Grafana dashboards, as far as they can be judged without a Grafana."""

from __future__ import annotations

import pytest

from ops.dashboards.__main__ import written
from tests.ops.dashboard_files import FOLDER, dashboard_queries, dashboards, panels

NAMES = list(dashboards())


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


def test_queries_are_complete() -> None:
    """Every variable is filled in, and none of the queries is asked twice."""
    queries = dashboard_queries(rate_interval="15s", time_range="5m")
    assert len(queries) == len(set(queries)) > 20
    assert not [query for query in queries if "$" in query]
    assert any("[15s]" in query for query in queries)
