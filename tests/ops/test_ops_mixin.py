"""The monitoring mixin, evaluated by jsonnet as its users would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _jsonnet
import pytest
import yaml

from tests.ops.dashboard_files import dashboards

OPS = Path(__file__).parents[2] / "ops"
CONFIG = """_config+:: {
  docsUrl: 'https://docs.example.com', grafanaUrl: 'https://grafana.example.com', callworkerSelector: 'job="prod"',
  dashboardTags: ['ours', 'callworker'], dashboardPeriod: 'now-6h',
}"""
FIELDS = (
    "{ dashboards: mixin.grafanaDashboards, alerts: mixin.prometheusAlerts, rules: mixin.prometheusRules }"
)


def evaluated(config: str = "") -> dict[str, Any]:
    """Return the mixin's visible fields with `config` added to it."""
    program = f"local mixin = (import 'mixin.libsonnet') {{ {config} }}; {FIELDS}"
    return dict(json.loads(_jsonnet.evaluate_snippet(str(OPS / "mixin/user.jsonnet"), program)))


@pytest.fixture(scope="module")
def configured() -> dict[str, Any]:
    return evaluated(CONFIG)


def test_mixin_has_what_is_shipped() -> None:
    """Without configuration, each dashboard is the one that is shipped, and each rule is there with its expression."""
    found = evaluated()
    assert found["dashboards"] == {f"callworker-{name}": each for name, each in dashboards().items()}
    for field, name in (("alerts", "alerts.yml"), ("rules", "recording.yml")):
        shipped = yaml.safe_load((OPS / "prometheus" / name).read_text(encoding="utf-8"))
        assert expressions(found[field]) == expressions(shipped)


def test_configuration_reaches_every_dashboard(configured: dict[str, Any]) -> None:
    """Tags, time and the documentation's address are those that were asked for."""
    for dashboard in configured["dashboards"].values():
        assert (dashboard["tags"], dashboard["time"]["from"]) == (["ours", "callworker"], "now-6h")
        assert [link["tags"] for link in dashboard["links"]] == [["ours"]]
        values = {one["name"]: one["query"] for one in dashboard["templating"]["list"]}
        assert values["docs_url"] == "https://docs.example.com"


def test_configuration_reaches_every_rule(configured: dict[str, Any]) -> None:
    """Links lead where they should, and workers are picked by the selector."""
    text = json.dumps([configured["alerts"], configured["rules"]])
    assert "https://docs.example.com/how-to/alerts.html#callworkerdown" in text
    assert "https://grafana.example.com/d/callworker-overview" in text
    assert "externalLabels" not in text
    assert 'job=\\"prod\\"' in text and 'job=\\"callworker\\"' not in text


def expressions(groups: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (rule.get("alert") or rule["record"], rule["expr"])
        for group in groups["groups"]
        for rule in group["rules"]
    ]
