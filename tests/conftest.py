"""Real servers for tests: a Redis and a RabbitMQ of this test run's own, on loopback, gone when it ends."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import amqp
import pytest
import redis
from hypothesis import settings
from kombu import Connection

from tests import depth
from worker import failpoints
from worker.embedded import EmbeddedServerError, find_binary

START_SECONDS = 60
STOP_SECONDS = 20
PORTS = range(10_000, 30_000)
CHANCE = random.SystemRandom()
"""Not to be seeded: tests run side by side with the same seed."""

RABBITMQ_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
QUEUES = ("calls", *(f"calls.{shard}" for shard in range(16)), "calls.intake", "results")
EXCHANGES = ("calls", "results")
SERVERS_ARE_REQUIRED = os.environ.get("CALLWORKER_REQUIRE_SERVERS") == "1"

# Other work beside a test must not fail it: what an example may cost is for the tests that measure it.
settings.register_profile("callworker", max_examples=depth.examples(20), deadline=None)
settings.load_profile("callworker")


def absent(server: str) -> NoReturn:
    """Skip the test on a laptop, fail it where CALLWORKER_REQUIRE_SERVERS=1 promises every server."""
    if SERVERS_ARE_REQUIRED:
        pytest.fail(f"{server} is required here and was not found")
    pytest.skip(f"needs {server}")


def need_rabbitmq(what: str = "a RabbitMQ of the test's own") -> None:
    """Return where a node can be started; else as `absent`."""
    if not (RABBITMQ_SCRIPT.exists() and shutil.which("epmd")):
        absent(what)


def wait_until(holds: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Poll until `holds()`; fail the test if it does not within `seconds`."""
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.05)


@pytest.fixture
def armed() -> Iterator[Callable[[str], None]]:
    """Arms failpoints in this process; none is armed when the test has ended."""
    yield failpoints.arm
    failpoints.arm("")


def free_port() -> int:
    """A port on which nothing listens; none that the system could give to a connection before its server starts."""
    while True:
        port = CHANCE.choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def process(
    command: list[str], folder: Path, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process group of its own, and end the group."""
    with (folder / "output").open("ab") as output:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environ,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield server
    finally:
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, how)
            server.wait(STOP_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis (or Valkey) that lives as long as the test run. Tests take `redis_url` instead."""
    try:
        binary = str(find_binary().path)
    except EmbeddedServerError:
        absent("a Redis or Valkey server")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="cw-redis-") as name:
        options = (
            f"--bind 127.0.0.1 --port {port} --unixsocket {name}/sock --appendonly no --dir {name}".split()
        )
        with process([binary, *options, "--save", ""], Path(name)) as server:
            url = f"redis://127.0.0.1:{port}/0"
            wait_until(lambda: server.poll() is not None or _answers(url), "Redis answers")
            assert server.poll() is None, (Path(name) / "output").read_text()
            yield url


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a real Redis that is empty when the test begins."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def amqp_server() -> Iterator[str]:
    """The URL of a RabbitMQ: CALLWORKER_TEST_AMQP_URL, else a node of this test run's own."""
    given = os.environ.get("CALLWORKER_TEST_AMQP_URL")
    if given:
        yield given
        return
    need_rabbitmq("a RabbitMQ, or its address in CALLWORKER_TEST_AMQP_URL")
    with tempfile.TemporaryDirectory(prefix="cw-rabbit-") as name, _rabbitmq(Path(name)) as url:
        yield url


@contextmanager
def _rabbitmq(folder: Path) -> Iterator[str]:
    port, environ = rabbitmq_environ(folder)
    epmd = ["epmd", "-port", environ["ERL_EPMD_PORT"], "-address", "127.0.0.1"]
    with process(epmd, folder, environ), process([str(RABBITMQ_SCRIPT)], folder, environ) as server:
        wait_until(lambda: server.poll() is not None or accepts_amqp(port), "RabbitMQ accepts a client")
        assert server.poll() is None, (folder / "output").read_text(errors="replace")
        yield f"amqp://guest:guest@127.0.0.1:{port}//"


def rabbitmq_environ(folder: Path) -> tuple[int, dict[str, str]]:
    """The port of a RabbitMQ node of its own in `folder`, on loopback alone, and the environment that makes it so."""
    port = free_port()
    (folder / "plugins").write_text("[].")
    (folder / "rabbitmq.conf").write_text("disk_free_limit.absolute = 1MB\n")
    return port, {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_NODENAME": f"cw{os.getpid()}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "no-such-file"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
    }


def accepts_amqp(port: int) -> bool:
    try:
        with amqp.Connection(f"127.0.0.1:{port}", connect_timeout=5):
            return True
    except (amqp.AMQPError, OSError):
        return False


@pytest.fixture
def amqp_url(amqp_server: str) -> str:
    """The URL of a real RabbitMQ that has none of the project's queues and exchanges when the test begins."""
    with Connection(amqp_server) as connection, connection.channel() as channel:
        for name in QUEUES:
            channel.queue_delete(name)
        for name in EXCHANGES:
            channel.exchange_delete(name)
    return amqp_server
