"""Prometheus with the shipped rules and Alertmanager with the shipped routes, both faster, and a pager for their
notifications."""

from __future__ import annotations

import json
import math
import shutil
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from ops.pages import scaling
from tests.faults.servers import Server, ServerTrouble
from tests.integration.receiver import Hook, Receiver
from tests.processes import free_port

OPS = Path(__file__).parents[1]
RULES, ROUTES = OPS / "prometheus", OPS / "alertmanager/alertmanager.yml"
LOOKBACK, RESEND = "5m", "1m"
"""Prometheus' own defaults, to be divided as the rules are."""

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Notice:
    """One alert in a notification: when it came (Unix seconds), its labels, and whether it fires or is resolved."""

    unix: float
    labels: Labels
    firing: bool

    @property
    def name(self) -> str:
        return self.labels["alertname"]


class Pager:
    """The receiver of all notifications. A context manager."""

    def __init__(self) -> None:
        self._receiver = Receiver()

    def __enter__(self) -> Self:
        self._receiver.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.__exit__()

    @property
    def url(self) -> str:
        return self._receiver.url

    def notices(self, since_unix: float = 0.0) -> list[Notice]:
        """Return what was notified since then, oldest first."""
        return [
            each for hook in list(self._receiver.hooks) for each in _notices(hook) if hook.unix >= since_unix
        ]


def _notices(hook: Hook) -> list[Notice]:
    alerts = json.loads(hook.body)["alerts"]
    return [Notice(hook.unix, alert["labels"], alert["status"] == "firing") for alert in alerts]


class _Asked(Server):
    """A server with an HTTP API on a port of its own."""

    def __init__(self, program: str, folder: Path, options: Sequence[str]) -> None:
        self.port = free_port()
        found = shutil.which(program)
        if found is None:
            raise ServerTrouble(f"{program} is not installed")
        listens = f"--web.listen-address=127.0.0.1:{self.port}"
        super().__init__([found, *options, listens], folder)

    def answers(self) -> bool:
        with suppress(OSError):
            return self._get("/-/ready") is not None
        return False

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
            content: bytes = answer.read()
            return content


class Alertmanager(_Asked):
    def __init__(self, folder: Path, configuration: Mapping[str, Any]) -> None:
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(configuration))
        options = [f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data"]
        program = "alertmanager" if shutil.which("alertmanager") else "prometheus-alertmanager"
        super().__init__(program, folder, [*options, "--cluster.listen-address="])

    def active(self) -> list[Labels]:
        """Return the labels of the alerts that fire and are not inhibited."""
        return [
            alert["labels"]
            for alert in json.loads(self._get("/api/v2/alerts?inhibited=false&silenced=false"))
        ]


class Prometheus(_Asked):
    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        own = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        super().__init__("prometheus", folder, [*own, *options])

    def ask(self, query: str) -> list[tuple[Labels, float]]:
        """Return the series that an instant query gives, without those whose value is no number."""
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": query})
        result: Any = json.loads(self._get(path))["data"]["result"]
        series = [(each["metric"], float(each["value"][1])) for each in result]
        return [(labels, value) for labels, value in series if not math.isnan(value)]

    def alerts(self) -> list[Labels]:
        """Return the labels of all alerts that are pending or fire, with their `alertstate`."""
        return [labels for labels, _ in self.ask("ALERTS")]


class Monitoring:
    """All three, on the shipped files. A context manager."""

    def __init__(self, folder: Path, factor: float) -> None:
        self.folder, self.factor = folder, factor
        self.targets = folder / "targets.json"
        self.pager = Pager()
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as running:
            running.enter_context(self.pager)
            for name in ("alertmanager", "prometheus"):
                (self.folder / name).mkdir()
            routes = scaling.alertmanager(_read(ROUTES), self.factor, self.pager.url)
            self.alertmanager = running.enter_context(Alertmanager(self.folder / "alertmanager", routes))
            self.prometheus = running.enter_context(self._prometheus(self.folder / "prometheus"))
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def watch(self, ports: Sequence[int]) -> None:
        """Let Prometheus scrape the workers at these ports, and no others."""
        fresh = self.targets.with_suffix(".new")
        fresh.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}" for port in ports]}]))
        fresh.replace(self.targets)

    def _prometheus(self, folder: Path) -> Prometheus:
        shipped = _read(RULES / "prometheus.yml")
        for name in shipped["rule_files"]:
            (folder / name).write_text(yaml.safe_dump(scaling.rules(_read(RULES / name), self.factor)))
        ours = scaling.prometheus(shipped, self.factor, self.targets, self.alertmanager.port)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(ours))
        lookback, resend = (scaling.duration(text, self.factor) for text in (LOOKBACK, RESEND))
        options = [f"--query.lookback-delta={lookback}", f"--rules.alert.resend-delay={resend}"]
        return Prometheus(folder, options)


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document
