"""RabbitMQ for a test: a plain node, or one with users of fewer rights and TLS on a second port."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import amqp
from kombu import Connection

from tests.processes import absent, free_port, process, wait_until_served
from tests.tls import Authority

RABBITMQ_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SETTINGS_PAGE = Path(__file__).parents[1] / "docs/reference/settings.md"
QUEUES = ("calls", *(f"calls.{shard}" for shard in range(16)), "calls.intake", "results")
EXCHANGES = ("calls", "results")
CONTROL_SECONDS = 180


def need_rabbitmq(what: str = "a RabbitMQ of the test's own") -> None:
    """Return if a node can be started; otherwise skip or fail the test, as `absent` does."""
    if not (RABBITMQ_SCRIPT.exists() and shutil.which("epmd")):
        absent(what)


def empty_broker(url: str) -> None:
    """Delete the program's queues and exchanges."""
    with Connection(url) as connection, connection.channel() as channel:
        for name in QUEUES:
            channel.queue_delete(name)
        for name in EXCHANGES:
            channel.exchange_delete(name)


@dataclass(frozen=True)
class Node:
    """A RabbitMQ node on loopback only, with a name service of its own, as `environ` configures it."""

    port: int
    environ: Mapping[str, str]

    @classmethod
    def configured(cls, folder: Path, settings: str = "", erlang: str = "") -> Node:
        """Configure a node that is not started yet. `settings` are lines of rabbitmq.conf, `erlang` its arguments."""
        (folder / "plugins").write_text("[].")
        (folder / "rabbitmq.conf").write_text(f"disk_free_limit.absolute = 1MB\n{settings}")
        port = free_port()
        return cls(port, _environ(folder, port, erlang))

    def url(self, user: str = "guest", vhost: str = "/") -> str:
        return f"amqp://{user}:{user}@127.0.0.1:{self.port}/{vhost}"

    def answers(self) -> bool:
        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=5):
                return True
        except (amqp.AMQPError, OSError):
            return False

    def empty(self) -> None:
        """Delete the program's queues and exchanges."""
        empty_broker(self.url())

    @property
    def name_service(self) -> list[str]:
        """Return the command of the name service, which must run before the node."""
        return ["epmd", "-port", self.environ["ERL_EPMD_PORT"], "-address", "127.0.0.1"]

    @property
    def command(self) -> list[str]:
        return [str(RABBITMQ_SCRIPT)]

    def control(self, *words: str) -> None:
        """Run a command of `rabbitmqctl`. Raises CalledProcessError if it fails."""
        tool = RABBITMQ_SCRIPT.with_name("rabbitmqctl")
        subprocess.run(
            [tool, *words], env=dict(self.environ), check=True, capture_output=True, timeout=CONTROL_SECONDS
        )


@contextmanager
def running(node: Node, folder: Path) -> Iterator[None]:
    """Start a node, wait until it accepts clients, and end it afterwards."""
    with (
        process(node.name_service, folder, node.environ),
        process(node.command, folder, node.environ) as server,
    ):
        wait_until_served(server, node.answers, folder)
        yield


@contextmanager
def rabbitmq(settings: str = "", erlang: str = "") -> Iterator[Node]:
    """Start a node and remove it afterwards; `settings` and `erlang` are those of `Node.configured`."""
    need_rabbitmq()
    with tempfile.TemporaryDirectory(prefix="cw-rabbit-") as name:
        node = Node.configured(Path(name), settings, erlang)
        with running(node, Path(name)):
            yield node


def _environ(folder: Path, port: int, erlang: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_NODENAME": f"cw{os.getpid()}p{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "no-such-file"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} +S 1:1 {erlang}",
    }


@dataclass(frozen=True)
class GuardedNode(Node):
    """`guest` may do everything; `porter` may read and write, not configure, `writer` and `reader` only one of these.

    `callworker` and `producer` have only the rights that docs/reference/settings.md asks for.
    """

    tls_port: int
    authority: Path


@contextmanager
def guarded_rabbitmq() -> Iterator[GuardedNode]:
    """Start a node with these users and with TLS on a second port."""
    tls_port = free_port()
    with tempfile.TemporaryDirectory(prefix="cw-rights-") as name:
        authority = Authority(Path(name), "ours")
        with rabbitmq(_settings(Path(name), tls_port, authority)) as node:
            yield GuardedNode(node.port, node.environ, tls_port, authority.pair.certificate)


def _settings(folder: Path, tls_port: int, authority: Authority) -> str:
    pair, definitions = authority.issue("broker"), folder / "definitions.json"
    definitions.write_text(json.dumps(_definitions()))
    return (
        f"load_definitions = {definitions}\nlisteners.ssl.1 = 127.0.0.1:{tls_port}\n"
        f"ssl_options.certfile = {pair.certificate}\nssl_options.keyfile = {pair.key}\n"
        f"ssl_options.cacertfile = {authority.pair.certificate}\n"
    )


def _definitions() -> dict[str, object]:
    page = SETTINGS_PAGE.read_text(encoding="utf-8")
    asked_for = re.findall(r"^rabbitmqctl set_permissions (\w+) '(.+)' '(.+)' '(.+)'$", page, re.MULTILINE)
    rights = {
        "guest": (".*", ".*", ".*"),
        "porter": ("^$", ".*", ".*"),
        "writer": ("^$", ".*", "^$"),
        "reader": ("^$", "^$", ".*"),
        **{user: tuple(patterns) for user, *patterns in asked_for},
    }
    return {
        "users": [{"name": name, "password": name, "tags": ""} for name in rights],
        "vhosts": [{"name": "/"}],
        "permissions": [
            {"user": user, "vhost": "/", "configure": configure, "write": write, "read": read}
            for user, (configure, write, read) in rights.items()
        ],
    }
