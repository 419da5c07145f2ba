"""The Helm chart: linted, rendered from several sets of values, validated; without a cluster and without a network."""

from __future__ import annotations

import copy
import importlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.processes import absent
from worker import __version__
from worker.settings import Settings

OPS = Path(__file__).parents[2] / "ops"
CHART = OPS / "helm/callworker"
CRDS = Path(__file__).with_name("crds")
SETS = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir())
OLDEST, NEWEST = "1.27", "1.37"
"""Of the versions of Kubernetes that the chart supports; the oldest is that of `kubeVersion`."""

SET_BY_THE_CHART = {"REDIS_URL", "BROKER_URL", "SHUTDOWN_GRACE"}
LEFT_AS_IN_THE_IMAGE = {"ACCOUNTS_FILE", "METRICS_HOST", "METRICS_PORT", "CALLWORKER_STATE_DIR"}
SECRET_OR_PERSONAL = {"WEBHOOK_PROXY", "CALLWORKER_OPERATOR"}

Manifest = dict[str, Any]


def tool(name: str) -> Any:
    """Return a module of requirements-chart.lock; without it, skip or fail the test, as `absent` does."""
    try:
        return importlib.import_module(name)
    except ImportError:
        absent(f"{name}: run `make chart`")


@pytest.fixture(scope="module")
def helm() -> Any:
    return tool("helm_python")


@pytest.fixture
def chart(helm: Any) -> Iterator[Any]:
    with helm.Chart.load(str(CHART)) as loaded:
        yield loaded


def values(name: str) -> Manifest:
    found: Manifest = yaml.safe_load((CHART / f"ci/{name}-values.yaml").read_text(encoding="utf-8"))
    return found


def changed(name: str, path: str, value: object) -> Manifest:
    """Return a set of values in which the one at `path`, its names separated by dots, is another."""
    found = copy.deepcopy(values(name))
    *parents, last = path.split(".")
    table = found
    for parent in parents:
        table = table.setdefault(parent, {})
    table[last] = value
    return found


def manifests(chart: Any, given: Manifest) -> dict[str, Manifest]:
    """Return what the chart makes of the values, by kind."""
    texts = chart.render(given, name="demo", namespace="prod")
    found = [yaml.safe_load(text) for path, text in texts.items() if path.endswith(".yaml")]
    return {each["kind"]: each for each in found if each}


def pod(chart: Any, given: Manifest) -> Manifest:
    spec: Manifest = manifests(chart, given)["Deployment"]["spec"]["template"]["spec"]
    return spec


def environment(chart: Any, given: Manifest) -> dict[str, Any]:
    """Return each variable of the worker with its value, or with the Secret and key that it comes from."""
    (worker,) = pod(chart, given)["containers"]
    return {
        each["name"]: each.get("value") or tuple(each["valueFrom"]["secretKeyRef"].values())
        for each in worker["env"]
    }


@pytest.mark.parametrize("name", SETS)
def test_chart_passes_helms_own_check(helm: Any, name: str) -> None:
    """Nothing is worth more than a remark to `helm lint --strict`."""
    report = helm.lint(str(CHART), values(name), strict=True, kube_version=f"v{OLDEST}.0")
    assert report["errors"] == []
    assert [told["error"] for told in report["messages"] if told["severity"] > 1] == []


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_all_that_is_rendered_is_valid(chart: Any, name: str, version: str) -> None:
    """Kubernetes' schemas and those of the operators know every field, in the oldest and the newest version."""
    kubernetes = tool("kubernetes_validate")
    for kind, manifest in manifests(chart, values(name)).items():
        schema = CRDS / f"{kind}.schema.json"
        if schema.exists():
            jsonschema.validate(manifest, json.loads(schema.read_text(encoding="utf-8")))
        else:
            kubernetes.validate(manifest, version, strict=True)


def test_only_what_was_asked_for_is_rendered(chart: Any) -> None:
    """The smallest set of values needs no operator; the largest uses everything."""
    small, large = manifests(chart, values("minimal")), manifests(chart, values("all"))
    assert small.keys() == {"Deployment", "PodDisruptionBudget"}
    optional = {"ConfigMap", "NetworkPolicy", "PodMonitor", "PrometheusRule", "ScaledObject"}
    assert large.keys() == small.keys() | optional


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("redis.existingSecret", "", "/redis/existingSecret"),
        ("replicas", "two", "/replicas.*got string, want integer"),
        ("replica", 3, "'replica' not allowed"),
        ("settings.REDIS_URL", "redis://:hunter2@redis", "/settings.*'REDIS_URL' not allowed"),
        ("settings.LOG_LEVLE", "INFO", "/settings.*'LOG_LEVLE' not allowed"),
        ("settings.LEDGER_RETENTION", 2592000, "/settings/LEDGER_RETENTION.*want string"),
        ("autoscaling", {"enabled": True}, "/autoscaling/serverAddress"),
        ("podDisruptionBudget.maxUnavailable", 0, "/podDisruptionBudget/maxUnavailable.*want 1"),
        ("image.digest", "latest", "/image/digest"),
        ("accounts.toml", "[accounts.acme]", "either accounts.toml.* or accounts.existingConfigMap"),
        ("accounts.existingConfigMap", "", "either accounts.toml.* or accounts.existingConfigMap"),
    ],
)
def test_wrong_value_is_refused_by_name(helm: Any, chart: Any, path: str, value: object, told: str) -> None:
    """The message says where the value is, and shows no password."""
    with pytest.raises(helm.HelmError) as caught:
        manifests(chart, changed("minimal", path, value))
    assert re.search(told, str(caught.value), re.DOTALL) and "hunter2" not in str(caught.value)


def test_every_setting_can_be_set(chart: Any) -> None:
    """Those which the chart or the image sets, and those that belong into Secrets, are not among the values."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    reserved = SET_BY_THE_CHART | LEFT_AS_IN_THE_IMAGE | SECRET_OR_PERSONAL
    assert set(Settings.variables()) - reserved <= schema["properties"]["settings"]["properties"].keys()
    given = environment(chart, changed("minimal", "settings", {"CONCURRENCY": "100"}))
    assert given["CONCURRENCY"] == "100"


def test_versions_are_those_of_the_program() -> None:
    """The chart installs the image of its own version."""
    facts = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert facts["version"] == facts["appVersion"] == __version__
    assert facts["kubeVersion"] == f">={OLDEST}.0-0"


def test_addresses_and_secrets_come_from_secrets(chart: Any) -> None:
    """The chart knows names of Secrets, and holds no value of one."""
    found = environment(chart, values("all"))
    assert found["REDIS_URL"] == ("callworker", "redis") and found["BROKER_URL"] == ("callworker", "rabbitmq")
    assert "BROKER_URL" not in environment(chart, values("minimal"))
    assert "Secret" not in manifests(chart, values("all"))


@pytest.mark.parametrize("grace", [1, 30, 3600])
def test_worker_is_killed_only_after_its_grace(chart: Any, grace: int) -> None:
    """Kubernetes waits as long as the worker waits for its calls, and 15 s more for their records."""
    given = changed("minimal", "shutdownGrace", grace)
    assert environment(chart, given)["SHUTDOWN_GRACE"] == str(grace)
    assert pod(chart, given)["terminationGracePeriodSeconds"] == grace + 15


def test_pod_is_restricted(chart: Any) -> None:
    """It is what the Pod Security Standard "restricted" asks for, with a file system that can only be read."""
    spec = pod(chart, values("minimal"))
    (worker,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert worker["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    user = re.search(r"^USER (\d+):(\d+)$", (OPS.parent / "Dockerfile").read_text(), re.MULTILINE)
    assert user and [int(each) for each in user.groups()] == [
        spec["securityContext"][name] for name in ("runAsUser", "runAsGroup")
    ]


def test_files_are_mounted_as_folders(chart: Any) -> None:
    """A folder follows the swap of its ConfigMap or Secret; a file by `subPath` never changes."""
    (worker,) = pod(chart, values("all"))["containers"]
    assert {mount["mountPath"] for mount in worker["volumeMounts"]} == {
        f"/etc/callworker/{name}" for name in ("config", "secrets", "tls")
    }
    assert all(mount["readOnly"] and "subPath" not in mount for mount in worker["volumeMounts"])


def test_changed_accounts_file_restarts_no_worker(chart: Any) -> None:
    """Running workers use it: the ConfigMap changes, and the pods' description does not."""
    before, after = (
        manifests(chart, changed("all", "accounts.toml", text))
        for text in ("[accounts.acme]\n", "[accounts.globex]\n")
    )
    assert before["ConfigMap"] != after["ConfigMap"] and before["Deployment"] == after["Deployment"]


def test_rules_are_those_of_ops(chart: Any) -> None:
    """Each group arrives as it is in ops/prometheus, the templates of its texts included."""
    given = changed("all", "prometheusRule", {"enabled": True})
    groups = manifests(chart, given)["PrometheusRule"]["spec"]["groups"]
    assert groups == _groups(lambda text: text)
    assert "{{ $labels.account }}" in str(groups)


def test_rules_link_to_the_operators_own_pages(chart: Any) -> None:
    """Both addresses take the place of Prometheus' external labels."""
    groups = manifests(chart, values("all"))["PrometheusRule"]["spec"]["groups"]
    own = values("all")["prometheusRule"]

    def linked(text: str) -> str:
        text = text.replace("{{ $externalLabels.docs_url }}", own["docsUrl"])
        return text.replace("{{ $externalLabels.grafana_url }}", own["grafanaUrl"])

    assert groups == _groups(linked) and "$externalLabels" not in str(groups)


def _groups(form: Any) -> list[Manifest]:
    texts = [path.read_text(encoding="utf-8") for path in sorted((OPS / "prometheus").glob("*.yml"))]
    files = [yaml.safe_load(form(text)) for text in texts]
    return [group for file in files for group in file.get("groups", [])]


def test_monitor_gives_workers_the_job_that_alerts_look_for(chart: Any) -> None:
    """The rules select by `job="callworker"`, and name a worker by its `instance`."""
    (endpoint,) = manifests(chart, values("all"))["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert {"targetLabel": "job", "replacement": "callworker"} in endpoint["relabelings"]
    (worker,) = pod(chart, values("all"))["containers"]
    assert endpoint["port"] in {port["name"] for port in worker["ports"]}


def test_autoscaler_decides_how_many_workers_run(chart: Any) -> None:
    """The Deployment has no number of its own then, and without an answer the fallback holds."""
    found = manifests(chart, values("all"))
    assert "replicas" not in found["Deployment"]["spec"]
    scaler = found["ScaledObject"]["spec"]
    assert scaler["fallback"]["replicas"] == 3
    assert scaler["scaleTargetRef"]["name"] == found["Deployment"]["metadata"]["name"]
    (trigger,) = scaler["triggers"]
    assert trigger["metadata"]["query"] == "max(callworker_workers_wanted)"
    assert trigger["metadata"]["ignoreNullValues"] == "false"


def test_packaged_chart_stands_alone(helm: Any, tmp_path: Path) -> None:
    """The archive holds the rules themselves, and neither their tests nor the values for tests."""
    archive = helm.package(str(CHART), destination=str(tmp_path))
    with tarfile.open(archive) as opened:
        members = {each.name for each in opened if each.isfile()}
    assert "callworker/files/prometheus/alerts.yml" in members
    assert not [
        name for name in members if "/ci/" in name or "_test" in name or name.endswith("prometheus.yml")
    ]
    with helm.Chart.load(archive) as packaged, helm.Chart.load(str(CHART)) as folder:
        assert manifests(packaged, values("all")) == manifests(folder, values("all"))
