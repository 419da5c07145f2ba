"""The parts of `make pages` that need no server: how rules are made faster, and how a fault is judged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.pages import scaling
from ops.pages.__main__ import FAULTS
from ops.pages.monitoring import RULES, Notice
from ops.pages.table import markdown
from ops.pages.tiles import tiles
from ops.pages.verdict import Course, Row, Wanted, judge

COMPARED = re.compile(r"(callworker_\w+_seconds)\b(?!\w)[^<>\n]*[<>]=?")
RULE_FILES = sorted(path for path in RULES.glob("*.yml") if "groups:" in path.read_text(encoding="utf-8"))
PROMETHEUS = {
    "global": {"scrape_interval": "15s", "evaluation_interval": "30s", "external_labels": {"a": "b"}},
    "rule_files": ["alerts.yml"],
    "alerting": {"alert_relabel_configs": [{"action": "labeldrop", "regex": "a"}]},
    "scrape_configs": [
        {"job_name": "callworker", "dns_sd_configs": [{"names": ["worker"]}]},
        {"job_name": "redis"},
    ],
}
ROUTES = {
    "global": {"resolve_timeout": "5m"},
    "route": {
        "receiver": "mail",
        "group_wait": "30s",
        "routes": [{"receiver": "page", "repeat_interval": "4h"}],
    },
    "receivers": [{"name": "mail", "email_configs": [{"to": "a@b"}]}, {"name": "page"}],
    "inhibit_rules": [{"source_matchers": ['alertname="A"']}],
}


@pytest.mark.parametrize(
    ("text", "faster"),
    [
        ("rate(x[5m]) > 0.2", "rate(x[30000ms]) > 0.2"),
        ("max_over_time(x[1h30m:15s])", "max_over_time(x[540000ms:1500ms])"),
        ("x unless x offset 30m", "x unless x offset 180000ms"),
        ('x{code=~"[5m]", le="10"} > 100', 'x{code=~"[5m]", le="10"} > 100'),
        ("job:errors:rate5m > 0", "job:errors:rate5m > 0"),
        ("max by (account) (callworker_oldest_waiting_seconds) > 300", None),
        ("abs(callworker_clock_offset_seconds) > 5", "abs(callworker_clock_offset_seconds) > 5"),
    ],
)
def test_expression_is_divided_where_time_passes(text: str, faster: str | None) -> None:
    """Ranges, offsets and waits are divided; ratios, names, texts in quotes and offsets of clocks are not."""
    assert scaling.expression(text, 10) == (faster or text.replace("300", "30"))


def test_rules_keep_everything_but_their_times() -> None:
    """`for`, `keep_firing_for` and a group's interval are divided, and labels and annotations are as before."""
    rule = {
        "alert": "A",
        "expr": "x > 1",
        "for": "2m",
        "keep_firing_for": "1m",
        "labels": {"severity": "critical"},
    }
    (group,) = scaling.rules({"groups": [{"name": "g", "interval": "1m", "rules": [rule]}]}, 10)["groups"]
    assert group["interval"] == "6000ms"
    assert group["rules"] == [{**rule, "for": "12000ms", "keep_firing_for": "6000ms"}]


def test_prometheus_scrapes_the_file_of_targets(tmp_path: Path) -> None:
    """Discovery is replaced; external labels and what is relabelled before Alertmanager stay."""
    ours = scaling.prometheus(PROMETHEUS, 10, tmp_path / "targets.json", 9093)
    assert ours["global"] == {
        "scrape_interval": "1500ms",
        "scrape_timeout": "1500ms",
        "evaluation_interval": "3000ms",
        "external_labels": {"a": "b"},
    }
    (job,) = ours["scrape_configs"]
    assert job.keys() == {"job_name", "file_sd_configs"}
    assert ours["alerting"]["alert_relabel_configs"] == PROMETHEUS["alerting"]["alert_relabel_configs"]  # type: ignore[index]
    assert ours["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]


def test_routes_lead_to_the_pager() -> None:
    """Every receiver is the local one, inhibition is as shipped, and the waits of nested routes are divided."""
    ours = scaling.alertmanager(ROUTES, 10, "http://127.0.0.1:1")
    assert ours["route"]["group_wait"] == "3000ms"
    assert ours["route"]["routes"][0]["repeat_interval"] == "1440000ms"
    assert ours["inhibit_rules"] == ROUTES["inhibit_rules"]
    assert [each["webhook_configs"][0]["url"] for each in ours["receivers"]] == ["http://127.0.0.1:1"] * 2


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_every_shipped_wait_is_known(path: Path) -> None:
    """Each gauge of seconds that a shipped rule compares with a number is either divided or listed as not divided."""
    rules = [
        rule
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    compared = {name for rule in rules for name in COMPARED.findall(str(rule["expr"]))}
    assert compared <= {*scaling.WAITS, *scaling.NOT_DIVIDED}


WANTED = Wanted("CallworkerDown", {"account": "acme"})
DOWN = {"alertname": "CallworkerDown", "account": "acme", "severity": "critical"}


def course(*notices: Notice, quiet: bool = True, **more: Any) -> Course:
    return Course(1000.0, 1025.0, 1030.0, notices, more.pop("unnotified", ()), quiet, 10.0, **more)


def problems(course: Course, tiles: list[str] | None = None, wanted: Wanted = WANTED) -> list[str]:
    return list(judge("f", "told", wanted, course, ["Store: red"] if tiles is None else tiles).problems)


def test_right_alert_in_time_is_good() -> None:
    """Times are scaled back, but not the seconds that the program itself needs."""
    told = course(Notice(1010.0, DOWN, True), Notice(1035.0, DOWN, False), own_seconds=2.0)
    row = judge("f", "told", WANTED, told, ["Store: red"])
    assert (row.fire_seconds, row.clear_seconds, row.severity) == (82.0, 32.0, "critical")
    assert row.problems == []


def test_alert_that_comes_too_late_is_a_problem() -> None:
    """A critical alert may take 120 s, a warning 300 s."""
    late = Notice(1013.0, DOWN, True)
    assert problems(course(late)) == ["late: 130 s, allowed are 120 s"]
    assert problems(course(Notice(1013.0, {**DOWN, "severity": "warning"}, True))) == []


def test_alert_that_is_missing_or_concerns_somebody_else_is_a_problem() -> None:
    """The alert of another account is not the alert that is wanted, and pages besides."""
    other = {**DOWN, "account": "globex"}
    assert problems(course()) == ["Down (acme) does not page"]
    assert problems(course(Notice(1001.0, other, True))) == [
        "Down (globex) pages",
        "Down (acme) does not page",
    ]


def test_every_other_page_is_a_problem() -> None:
    """Also one that Alertmanager holds active and has not told of yet."""
    mine, noise = Notice(1001.0, DOWN, True), {"alertname": "CallworkerNoise"}
    assert problems(course(mine, Notice(1040.0, noise, True))) == ["Noise pages"]
    assert problems(course(mine, unnotified=[noise])) == ["Noise pages"]


def test_all_clear_while_the_fault_lasts_is_a_problem() -> None:
    """An alert must stay until the repair, though it may fire for one worker after the other, or the fault may end."""
    on, off = Notice(1001.0, DOWN, True), Notice(1020.0, DOWN, False)
    another = Notice(1010.0, {**DOWN, "instance": "b"}, True)
    assert problems(course(on, off)) == ["resolved before the repair"]
    assert problems(course(on, another, off)) == []
    assert problems(course(on, Notice(1027.0, DOWN, False))) == []
    assert problems(course(on, off), wanted=Wanted(WANTED.alert, passes=True)) == []


def test_fault_that_does_not_end_or_shows_on_no_tile_is_a_problem() -> None:
    """After the repair it must become quiet, and while it lasts the first row must not be all green."""
    mine = Notice(1001.0, DOWN, True)
    assert problems(course(mine, quiet=False)) == ["did not become quiet again"]
    assert problems(course(mine), tiles=[]) == ["all tiles are green"]


def test_time_without_a_fault_has_no_page_and_needs_no_red_tile() -> None:
    """Where no alert is wanted, each one is a problem."""
    assert problems(course(), [], Wanted("")) == []
    assert problems(course(), ["Store: red"], Wanted("")) == ["not all tiles are green"]
    assert problems(course(Notice(1001.0, DOWN, True)), [], Wanted("")) == ["Down (acme) pages"]


def test_table_tells_what_is_wrong() -> None:
    """The page has a row for each fault with its problems, and counts the good ones."""
    text = markdown(
        [
            Row("a", "A told", "Down", ["Down"], "critical", 82.0, 32.0, ["Store: red"]),
            Row("b", "B told", "", problems=["x pages"]),
        ],
        10,
    )
    assert "| A told | Down | critical | 82 | 32 | Store: red | good |" in text
    assert "| B told | none |  |  |  |  | x pages |" in text
    assert "1 of 2 are good" in text


def test_faults_have_names_of_their_own() -> None:
    """Each can be chosen alone."""
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 30


def test_tiles_are_those_of_the_first_row_that_judge(tmp_path: Path) -> None:
    """A tile without a colour for bad says nothing; panels of other rows do not count."""

    def stat(title: str, *steps: tuple[float | None, str]) -> dict[str, Any]:
        mappings = [{"type": "value", "options": {"2": {"text": "no writes", "color": "orange"}}}]
        colours = [{"value": value, "color": colour} for value, colour in steps]
        return {
            "type": "stat",
            "title": title,
            "targets": [{"expr": "up"}],
            "fieldConfig": {"defaults": {"thresholds": {"steps": colours}, "mappings": mappings}},
        }

    judging = stat("Store", (None, "red"), (1, "green"))
    rows = [
        {"type": "row", "title": "Now"},
        judging,
        stat("Rate", (None, "blue")),
        {"type": "row", "title": "Else"},
        judging,
    ]
    (tmp_path / "board.json").write_text(json.dumps({"panels": rows}))
    (tile,) = tiles(tmp_path / "board.json")
    assert [tile.colour(value) for value in (0.0, 1.0, 2.0, 5.0)] == ["red", "green", "orange", "green"]


def test_shipped_overview_has_tiles() -> None:
    """The row that is looked at is there, and its tiles judge."""
    assert len(tiles()) >= 4
