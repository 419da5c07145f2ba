"""The servers of a run, started for it on loopback: Redis, RabbitMQ, the provider."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import redis
from amqp.exceptions import NotFound
from kombu import Connection

from ops.bench.provider import ANSWER
from tests.faults.servers import PROJECT, Rabbit, Server
from tests.processes import free_port
from worker.embedded import find_binary

NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{answer}'; }}
    location = /status {{ stub_status; }}
  }}
}}
"""


class BenchRedis(Server):
    """A Redis that keeps nothing on disk: that cost is the same for all contenders, and is not compared.

    With `on_disk` it has an append-only file, as in production, which is not rewritten: its growth can be measured.
    """

    def __init__(self, folder: Path, *, on_disk: bool = False) -> None:
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        options = (
            f"--bind 127.0.0.1 --port {port} --dir {folder} --maxmemory-policy noeviction "
            f"--appendonly {'yes' if on_disk else 'no'} --auto-aof-rewrite-percentage 0"
        )
        super().__init__([str(find_binary().path), *options.split(), "--save", ""], folder)
        self.client = redis.Redis.from_url(self.url, socket_timeout=60)

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def cpu_seconds(self) -> float:
        """Return user and system time so far."""
        spent = self.client.info("cpu")
        return float(spent["used_cpu_user"]) + float(spent["used_cpu_sys"])

    def commands(self) -> int:
        """Return the number of commands so far, including those of scripts."""
        return int(self.client.info("stats")["total_commands_processed"])

    def used_bytes(self) -> int:
        """Return the memory of its data and clients."""
        return int(self.client.info("memory")["used_memory"])

    def file_bytes(self) -> int:
        """Return the size of its append-only file, if it has one."""
        return int(self.client.info("persistence").get("aof_current_size", 0))


class Counting(Server, ABC):
    """A provider on `_port` of loopback that counts its calls."""

    _port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def answers(self) -> bool:
        with suppress(OSError):
            return self.count() >= 0
        return False

    @abstractmethod
    def count(self) -> int:
        """Calls since the start."""


class Provider(Counting):
    """`ops.bench.provider` in a process of its own."""

    def __init__(self, folder: Path, latency_ms: int, log: bool) -> None:
        self._port = free_port()
        command = [sys.executable, "-m", "ops.bench.provider", str(self._port), str(latency_ms)]
        command += ["log"] if log else []
        super().__init__(command, folder, {**os.environ, "PYTHONPATH": str(PROJECT)})

    def count(self) -> int:
        """Calls since the start."""
        return int(_get(self.url + "/count"))

    def log(self) -> list[tuple[float, str, str]]:
        """Return Unix seconds, key and phone of each call since the start, if it was started with `log`."""
        rows = (line.split() for line in _get(self.url + "/log").decode().splitlines())
        return [(float(unix), key, phone) for unix, key, phone in rows]


class Nginx(Counting):
    """An nginx that answers at once; its status page has the count."""

    def __init__(self, folder: Path, program: str) -> None:
        self._port, self._asked = free_port(), 0
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=self._port, answer=ANSWER.decode()))
        super().__init__([program, "-p", str(folder), "-c", str(config)], folder)

    def count(self) -> int:
        """Return the number of calls since the start, without the requests of the status page."""
        page = _get(self.url + "/status").decode()
        self._asked += 1
        return int(page.splitlines()[2].split()[2]) - self._asked


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 (our own server)
        content: bytes = answer.read()
        return content


@dataclass(frozen=True)
class Servers:
    """The servers that one run uses, with a provider for each latency in ms."""

    folder: Path
    redis: BenchRedis
    broker_url: str
    providers: dict[int, Provider | Nginx]
    rabbit: Rabbit | None = None

    @property
    def is_amqp(self) -> bool:
        return self.broker_url.startswith("amqp")

    @property
    def logging(self) -> Provider:
        """The fastest provider of a run with `log`."""
        provider = self.providers[min(self.providers)]
        assert isinstance(provider, Provider)  # noqa: S101 (`servers` starts these with `log`)
        return provider

    def empty(self) -> None:
        """Delete what earlier trials left: all of Redis, and the unread events on RabbitMQ."""
        self.redis.client.flushall()
        if self.is_amqp:
            with Connection(self.broker_url) as connection, suppress(NotFound):
                connection.channel().queue_purge("results")


@contextmanager
def servers(
    broker: str, latencies_ms: list[int], *, log: bool = False, on_disk: bool = False
) -> Iterator[Servers]:
    """Start the servers, and end them with all their data. With `log` every provider notes when each call came; with
    `on_disk` Redis has an append-only file."""
    with ExitStack() as running:
        root = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="cw-bench-")))
        store = running.enter_context(BenchRedis(_folder(root, "redis"), on_disk=on_disk))
        rabbit = running.enter_context(Rabbit(_folder(root, "rabbit"))) if broker == "amqp" else None
        providers = {each: _provider(_folder(root, f"provider-{each}"), each, log) for each in latencies_ms}
        for provider in providers.values():
            running.enter_context(provider)
        broker_url = rabbit.url if rabbit else store.url
        yield Servers(_folder(root, "workers"), store, broker_url, providers, rabbit)


def _provider(folder: Path, latency_ms: int, log: bool) -> Provider | Nginx:
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return (
        Nginx(folder, nginx) if nginx and latency_ms == 0 and not log else Provider(folder, latency_ms, log)
    )


def _folder(root: Path, name: str) -> Path:
    (root / name).mkdir()
    return root / name
