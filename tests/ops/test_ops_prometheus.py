"""The Prometheus configuration and alert rules, judged by promtool and held against the metrics that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ops.reference.metrics import EXAMPLE, filled_metrics
from tests.ops.dashboard_files import dashboard_queries
from tests.processes import absent

OPS = Path(__file__).parents[2] / "ops"
PROMETHEUS = OPS / "prometheus"
ALERTS = (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8")
ALERT_TESTS = (PROMETHEUS / "alerts_test.yml").read_text(encoding="utf-8")
ALERT_NAMES = re.findall(r"- alert: (\w+)", ALERTS)

AWAITED = {
    f"callworker_{name}"
    for name in (
        "eligible_now",
        "places",
        "places_used",
        "redis_memory_full_seconds",
        "shared_state_served",
        "workers",
        "workers_lost",
        "workers_wanted",
    )
}
PROMETHEUS_OWN = {"instance"}
"""Labels that a worker does not give."""

METRIC = re.compile(r"\bcallworker_\w+")
MATCHERS = re.compile(r"\b(callworker_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


@pytest.fixture(scope="module")
def promtool() -> str:
    path = shutil.which("promtool")
    return path or absent("promtool")


@pytest.fixture(scope="module")
def exported() -> dict[str, list[dict[str, str]]]:
    """Every sample that a worker exports, by its name, as the labels it comes with."""
    samples: dict[str, list[dict[str, str]]] = {}
    for family in filled_metrics().registry.collect():
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample.labels)
    return samples


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_files_pass_promtool(promtool: str, arguments: tuple[str, ...]) -> None:
    """The scrape configuration and the rules are valid, and each alert fires and keeps quiet as its tests say."""
    done = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERT_NAMES)
def test_alert_has_a_test_and_a_runbook(alert: str) -> None:
    """Each alert is fired by a unit test, and its runbook is a section of ops/README.md."""
    headings = re.findall(r"^#+ (\w+)$", (OPS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"alertname: {alert}\n" in ALERT_TESTS
    assert f"runbook: ops/README.md#{alert.lower()}\n" in ALERTS
    assert alert in headings


def test_table_of_alerts_has_their_severities() -> None:
    """The table of ops/README.md says of each alert whether it must page somebody, as the rules do."""
    told = re.findall(
        r"^\| \[(\w+)\]\(#\w+\) \| (\w+) \|", (OPS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    rules = re.findall(r"- alert: (\w+)\n.*?severity: (\w+)\n", ALERTS, re.DOTALL)
    assert sorted(told) == sorted(rules)


def test_every_metric_named_in_ops_is_exported(exported: dict[str, list[dict[str, str]]]) -> None:
    """Alert rules, their tests and dashboards name no metric that a worker does not have."""
    texts = [ALERTS, ALERT_TESTS, *dashboard_queries(), (OPS / "README.md").read_text(encoding="utf-8")]
    named = {name for text in texts for name in METRIC.findall(text)}
    assert len(named) > 15
    assert named - exported.keys() - AWAITED == set()


def test_every_label_asked_for_is_exported(exported: dict[str, list[dict[str, str]]]) -> None:
    """A rule or panel that picks series by a label's value picks a value that the metric can take."""
    for query in [ALERTS, *dashboard_queries(account="acme", endpoint=EXAMPLE.key)]:
        for metric, matchers in MATCHERS.findall(query):
            for label, values in MATCHER.findall(matchers):
                known = {labels[label] for labels in exported.get(metric, []) if label in labels}
                assert label in PROMETHEUS_OWN or set(values.split("|")) <= known, (metric, label, values)
