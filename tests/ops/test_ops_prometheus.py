"""The alert rules and their routes, judged by promtool and amtool and held against the metrics that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.reference.metrics import EXAMPLE, filled_metrics
from tests.ops.dashboard_files import dashboard_queries
from tests.processes import absent

OPS = Path(__file__).parents[2] / "ops"
RUNBOOKS = (OPS.parent / "docs/how-to/alerts.md").read_text(encoding="utf-8")
RULES = "\n".join(
    (OPS / "prometheus" / name).read_text(encoding="utf-8") for name in ("recording.yml", "alerts.yml")
)
TESTS = (OPS / "prometheus/alerts_test.yml").read_text(encoding="utf-8")
ROUTES = yaml.safe_load((OPS / "alertmanager/alertmanager.yml").read_text(encoding="utf-8"))

PROMETHEUS_OWN = {"instance"}
"""Labels that a worker does not give."""

METRIC = re.compile(r"\bcallworker_\w+")
MATCHERS = re.compile(r"\b(callworker_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


def alerts() -> list[dict[str, Any]]:
    """Every alert rule; a name may have several."""
    document = yaml.safe_load((OPS / "prometheus/alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"] if "alert" in rule]


NAMES = sorted({rule["alert"] for rule in alerts()})


def checked(program: str, *arguments: str) -> None:
    """Run a tool of Prometheus in ops/; fail with what it says."""
    path = shutil.which(program) or absent(program)
    done = subprocess.run([path, *arguments], cwd=OPS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def exported() -> dict[str, list[dict[str, str]]]:
    """Every sample that a worker exports, by its name, as the labels it comes with."""
    samples: dict[str, list[dict[str, str]]] = {}
    for family in filled_metrics().registry.collect():
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample.labels)
    return samples


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "command",
    [
        "promtool check config prometheus/prometheus.yml",
        "promtool check rules prometheus/recording.yml prometheus/alerts.yml",
        "promtool test rules prometheus/alerts_test.yml",
        "amtool check-config alertmanager/alertmanager.yml",
    ],
)
def test_files_pass_their_tools(command: str) -> None:
    """The configuration is valid, and each fault fires the alert that its test names, and no other."""
    checked(*command.split())


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_alert_says_what_it_is_and_leads_to_its_runbook(rule: dict[str, Any]) -> None:
    """Each has all labels and annotations, and the address of its section and of a dashboard."""
    name, notes = rule["alert"], rule["annotations"]
    assert rule["labels"].keys() == {"severity", "kind"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["labels"]["kind"] in {"cause", "symptom"}
    assert notes.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert notes["runbook_url"] == f"{{{{ $externalLabels.docs_url }}}}/how-to/alerts.html#{name.lower()}"
    board = re.match(
        r"\{\{ \$externalLabels\.grafana_url \}\}/d/callworker-(\w+)(\?|$)", notes["dashboard_url"]
    )
    assert board is not None
    assert board[1] in {"overview", "account", "worker", "capacity", "webhooks"}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    """The sections of the page, and the rows of its table with severity and kind, are those of the rules."""
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| ([a-z ]+) \| (\w+) \|", RUNBOOKS, re.MULTILINE)
    told = {(name, kind, each) for name, _, severity, kind in rows for each in severity.split(" or ")}
    assert told == {(rule["alert"], rule["labels"]["kind"], rule["labels"]["severity"]) for rule in alerts()}
    assert all(anchor == name.lower() for name, anchor, _, _ in rows)
    assert sorted(re.findall(r"^### (\w+)$", RUNBOOKS, re.MULTILINE)) == NAMES


def test_every_alert_is_fired_by_a_test() -> None:
    """The fault is put in, and the alert is among those that fire."""
    assert set(re.findall(r'\{(?:account="[^"]*", )?alertname="(\w+)"', TESTS)) == set(NAMES)


def test_routes_name_alerts_that_there_are() -> None:
    """A misspelled name in an inhibition would hold back nothing."""
    matchers = [
        text
        for rule in ROUTES["inhibit_rules"]
        for text in (*rule["source_matchers"], *rule["target_matchers"])
        if text.startswith("alertname")
    ]
    assert len(matchers) > 10
    for text in matchers:
        pattern = text.partition('"')[2].rstrip('"')
        head, _, rest = pattern.partition("(")
        middle, _, tail = rest.partition(")")
        for each in middle.split("|"):
            assert head + each + tail in NAMES, text


def test_every_metric_named_in_ops_is_exported(exported: dict[str, list[dict[str, str]]]) -> None:
    """Rules, their tests, runbooks and dashboards name no metric that a worker does not have."""
    texts = [RULES, TESTS, RUNBOOKS, *dashboard_queries(), (OPS / "README.md").read_text(encoding="utf-8")]
    named = {name for text in texts for name in METRIC.findall(text)}
    families = {name.rpartition("_")[0] for name in exported if name.endswith("_bucket")}
    groups = {name for name in named if f"name: {name}\n" in RULES}
    assert len(named) > 15
    assert named - exported.keys() - families - groups == set()


def test_every_label_asked_for_is_exported(exported: dict[str, list[dict[str, str]]]) -> None:
    """A rule or panel that picks series by a label's value picks a value that the metric can take."""
    for query in [RULES, *dashboard_queries(account="acme", endpoint=EXAMPLE.key)]:
        for metric, matchers in MATCHERS.findall(query):
            for label, values in MATCHER.findall(matchers):
                known = {labels[label] for labels in exported.get(metric, []) if label in labels}
                assert label in PROMETHEUS_OWN or set(values.split("|")) <= known, (metric, label, values)
