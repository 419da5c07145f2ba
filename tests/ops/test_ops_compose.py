"""The compose file: nothing in it fills a disk or a machine's memory, and Prometheus finds what it scrapes."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from tests.processes import free_port, process, wait_until_served
from tests.redis_server import redis_binary

OPS = Path(__file__).parents[2] / "ops"
SERVICES: dict[str, Any] = yaml.safe_load((OPS / "compose.yaml").read_text(encoding="utf-8"))["services"]
UNITS = {"m": 2**20, "mb": 2**20, "g": 2**30, "gb": 2**30}


def size(text: str) -> int:
    """Return the bytes of a size such as 512m, or of the default in ${NAME:-1gb}."""
    default = re.sub(r"^\$\{\w+:-(.+)\}$", r"\1", text)
    number, unit = re.fullmatch(r"(\d+)([a-z]+)", default).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


@pytest.mark.parametrize("name", SERVICES)
def test_log_of_a_service_is_rotated(name: str) -> None:
    """None keeps more than a gigabyte."""
    options = SERVICES[name]["logging"]["options"]
    assert size(options["max-size"]) * int(options["max-file"]) <= 1000 * UNITS["m"]


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_a_memory_limit_and_starts_again(name: str) -> None:
    """One that leaks is ended and started again before the machine has no memory left."""
    assert size(SERVICES[name]["mem_limit"]) > 0
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_redis_may_use_its_maxmemory_twice() -> None:
    """While it rewrites its file it may need twice its data; killed then, it would be lost again and again."""
    command = SERVICES["redis"]["command"]
    maxmemory = size(command[command.index("--maxmemory") + 1])
    assert size(SERVICES["redis"]["mem_limit"]) >= 2 * maxmemory


def test_worker_is_killed_only_after_its_grace() -> None:
    """Docker waits longer than SHUTDOWN_GRACE and the recording of outcomes."""
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) >= 30 + 10


def test_nodes_of_the_cluster_find_each_other() -> None:
    """Each has a name that the settings list, a folder of its own, and a place in the example's BROKER_URL."""
    nodes = {name: each for name, each in SERVICES.items() if each.get("profiles") == ["rabbit-cluster"]}
    settings = (OPS / "rabbitmq/cluster.conf").read_text(encoding="utf-8")
    example = (OPS / ".env.example").read_text(encoding="utf-8")
    assert re.findall(r"nodes\.\d = rabbit@(\S+)", settings) == [each["hostname"] for each in nodes.values()]
    assert re.findall(r"@(rabbit-\d):5672//", example) == list(nodes) and len(nodes) == 3
    assert len({each["volumes"][-1] for each in nodes.values()}) == len(nodes)


def test_sentinels_of_the_file_take_the_master_of_the_file(tmp_path: Path) -> None:
    """The Sentinel that each begins with starts, knows the service by its name, and is in the example's REDIS_URL."""
    text = (OPS / "redis/sentinel.conf").read_text(encoding="utf-8")
    assert (host := re.search(r"^sentinel monitor callworker (\S+) 6379 2$", text, re.MULTILINE)) is not None
    assert host[1] in SERVICES
    names = [name for name in SERVICES if name.startswith("sentinel-")]
    example = (OPS / ".env.example").read_text(encoding="utf-8")
    assert f"@{','.join(names)}/callworker/0" in example and len(names) == 3
    assert all(SERVICES[name]["hostname"] == name for name in [*names, "redis-2", "redis-3"])
    port = free_port()
    local = text.replace(" redis ", " localhost ").replace("26379", str(port)).replace("/data", str(tmp_path))
    (tmp_path / "sentinel.conf").write_text(
        local + "sentinel auth-pass callworker secret\n", encoding="utf-8"
    )
    command = [redis_binary(), "sentinel.conf", "--sentinel"]
    with process(command, tmp_path) as server, redis.Redis(port=port, decode_responses=True) as client:
        wait_until_served(server, partial(_answers, client), tmp_path)
        facts: Any = client.sentinel_master("callworker")
        assert (facts["ip"], facts["quorum"]) == ("localhost", 2)


def _answers(client: redis.Redis) -> bool:
    with suppress(redis.RedisError):
        return bool(client.ping())
    return False


def test_prometheus_scrapes_services_of_the_file() -> None:
    """Each host that it looks for is a service; the workers, Redis and RabbitMQ are among them."""
    config = yaml.safe_load((OPS / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    hosts = {job["job_name"]: _hosts(job) for job in config["scrape_configs"]}
    assert hosts.keys() >= {"callworker", "redis", "rabbitmq"}
    assert set().union(*hosts.values()) <= SERVICES.keys()


def _hosts(job: dict[str, Any]) -> set[str]:
    targets = [target for group in job.get("static_configs", []) for target in group["targets"]]
    names = [name for group in job.get("dns_sd_configs", []) for name in group["names"]]
    return {target.partition(":")[0] for target in (*targets, *names)}
