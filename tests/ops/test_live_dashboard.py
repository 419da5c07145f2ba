"""The Grafana dashboards against a real Prometheus that scrapes a live worker."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.integration.outside import Outside, new_job
from tests.integration.receiver import Hook, Receiver, local_hook
from tests.integration.stack import Stack, api_key
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref, refuses
from tests.ops.dashboard_files import dashboard_queries
from tests.processes import absent, free_port, process, wait_until
from tests.redis_server import redis_server

JOBS_A_SECOND = 15
"""More than the burst of account acme, so that some wait, and fewer than its rate."""

ANSWER_SECONDS = 0.3
"""How long a webhook takes, so that some are on their way whenever they are counted."""

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EMPTY = {
    "callworker_loop_failures_total": "no loop of a sound worker fails",
    "callworker_leases_lost_total": "no worker is slow enough to lose a lease",
    "callworker_conflicts_total": "no job is sent twice in two forms",
    "callworker_redis_memory_full_seconds": "the memory of Redis is watched for hours before it is foretold",
    "callworker_webhook_endpoint_disabled": "the receiver takes everything",
    'result!="delivered"': "the receiver takes everything",
    'status="expired"': "no job waits for as long as its time",
    "callworker_webhook_given_up_total": "no delivery is given up in a minute",
}
"""Why queries with these parts give no data here. Those that put something in its place are not among them."""
QUERIES = [
    query
    for query in dashboard_queries(rate_interval="20s", time_range="1m")
    if " or " in query or not any(metric in query for metric in EMPTY)
]
CONFIGURATION = """
global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}
scrape_configs:
  - job_name: callworker
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{instance: w1}}}}]
"""


def script(asked: Asked) -> Reply:
    """Something of everything: a refusal, retries, an account without points."""
    if asked.form["key"] == api_key("poor"):
        return refuses("NO_POINTS")
    if asked.phone.endswith("0001"):
        return refuses("INVALID_TELEPHONE")
    status = {"2": 503, "3": 429}.get(asked.phone[-1]) if asked.turn == 1 else None
    return Reply("", status) if status else gives_ref()


def take(_: Hook) -> int:
    time.sleep(ANSWER_SECONDS)
    return 200


class Prometheus:
    """A Prometheus that answers queries."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, query: str) -> list[float]:
        """The values that an instant query gives, without those that are no number."""
        url = f"{self._url}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(url, timeout=20) as answer:
            result: Any = json.load(answer)["data"]["result"]
        values = [float(series["value"][1]) for series in result]
        return [value for value in values if not math.isnan(value)]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has watched a worker since before its first job."""
    binary = shutil.which("prometheus") or absent("prometheus")
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with redis_server() as redis, Receiver(take) as receiver, StandIn(script) as provider:
        with Redis.from_url(redis.url) as client:
            client.config_set("maxmemory", "1gb")
        hook = local_hook(f"{receiver.url}/hook", secret_env="HOOK")
        accounts: dict[str, dict[str, Any]] = {
            "acme": {"rate": "20/s", "burst": 5, "webhooks": [hook]},
            "poor": {"rate": "20/s"},
        }
        with Stack(folder, redis.url, redis.url, provider.url, accounts, HOOK=SECRET) as stack:
            worker, port = stack.start(), free_port()
            (folder / "prometheus.yml").write_text(CONFIGURATION.format(port=worker.port))
            command = [binary, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
            with process([*command, f"--web.listen-address=127.0.0.1:{port}"], folder):
                prometheus = Prometheus(port)
                wait_until(prometheus.ready, "Prometheus is ready")
                wait_until(lambda: bool(prometheus.ask("callworker_build_info")), "the first scrape")
                with at_work(stack.outside):
                    yield prometheus


@contextmanager
def at_work(outside: Outside) -> Iterator[None]:
    """Some of everything comes in once a second, for the queries tell of the last seconds."""
    over = threading.Event()

    def send() -> None:
        outside.send(new_job("poor", "poor"))
        for second in itertools.count():
            jobs = [new_job(f"job-{second}-{n}") for n in range(JOBS_A_SECOND)]
            outside.send(*jobs, jobs[0], new_job(f"bad-{second}", phone="2125550001"))
            if over.wait(1.0):
                break

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


@pytest.mark.parametrize("query", QUERIES)
def test_query_of_a_dashboard_returns_data(prometheus: Prometheus, query: str) -> None:
    """No panel stays empty while a worker works: each query gives at least one number."""
    wait_until(lambda: bool(prometheus.ask(query)), f"data for {query}")
