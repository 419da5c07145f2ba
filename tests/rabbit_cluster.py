"""Three RabbitMQ nodes on loopback that form a cluster. A test may kill them, freeze them and start them again."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from typing import Self

from tests.processes import free_port, process, wait_until_served
from tests.rabbit import Node, need_rabbitmq

VHOST = "jobs"
"""Its queues are quorum queues."""

_NODES = range(3)
_SHIPPED = Path(__file__).parents[1] / "ops/rabbitmq/cluster.conf"
_OTHERS = re.compile(r"^(cluster_formation.classic_config|default_queue_type|net_ticktime|#)")
"""Lines of it that a test has otherwise: names of its own, its virtual host, and less patience with a silent node."""
_SETTINGS = "net_ticktime = 8\n"
_DEFINITIONS = {
    "users": [{"name": "guest", "password": "guest", "tags": ""}],
    "vhosts": [{"name": "/"}, {"name": VHOST, "metadata": {"default_queue_type": "quorum"}}],
    "permissions": [
        {"user": "guest", "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}
        for vhost in ("/", VHOST)
    ],
}


class RabbitCluster:
    """The nodes, by number from 0. A context manager that starts and ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folders = [folder / f"node-{number}" for number in _NODES]
        self.nodes = _configured(folder, self._folders)
        self._names = ExitStack()
        self._exits = [ExitStack() for _ in _NODES]
        self._servers: dict[int, Popen[bytes]] = {}
        self._hurt: set[int] = set()

    def __enter__(self) -> Self:
        first = self.nodes[0]
        self._names.enter_context(process(first.name_service, self._folder, first.environ))
        # The others join the first one. Of nodes that begin together, each might begin a cluster of its own.
        self._spawn(0)
        self._wait()
        for number in _NODES[1:]:
            self._spawn(number)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        for number in _NODES:
            self.kill(number)
        self._names.close()

    def url(self, *numbers: int, options: str = "") -> str:
        """Return the addresses of these nodes, in this order; without numbers, of all."""
        return ";".join(self.nodes[number].url(vhost=VHOST) + options for number in numbers or _NODES)

    def kill(self, number: int) -> None:
        """End a node with SIGKILL."""
        self._hurt.add(number)
        self._send(number, signal.SIGKILL)
        self._exits[number].close()

    def freeze(self, number: int) -> None:
        """Let a node compute nothing any more. Its connections stay open, and the system accepts new ones."""
        self._hurt.add(number)
        self._send(number, signal.SIGSTOP)

    def heal(self) -> None:
        """Start the nodes again that were killed or frozen, with what is on their disks, and wait until all serve."""
        for number in sorted(self._hurt):
            self.kill(number)
            self._spawn(number)
        self._hurt.clear()
        self._wait()

    def _wait(self) -> None:
        for number, server in self._servers.items():
            wait_until_served(server, self.nodes[number].answers, self._folders[number])

    def _spawn(self, number: int) -> None:
        node, folder = self.nodes[number], self._folders[number]
        self._servers[number] = self._exits[number].enter_context(process(node.command, folder, node.environ))

    def _send(self, number: int, which: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._servers[number].pid, which)


def _configured(folder: Path, folders: list[Path]) -> list[Node]:
    """Write the settings of nodes that share a cookie and a name service."""
    definitions = folder / "definitions.json"
    definitions.write_text(json.dumps(_DEFINITIONS))
    for each in folders:
        each.mkdir()
    shared = {"RABBITMQ_ERLANG_COOKIE": "callworker", "ERL_EPMD_PORT": str(free_port())}
    made = [Node.configured(each) for each in folders]
    nodes = [replace(node, environ={**node.environ, **shared}) for node in made]
    names = [node.environ["RABBITMQ_NODENAME"] for node in nodes]
    shipped = [line for line in _SHIPPED.read_text().splitlines() if not _OTHERS.match(line)]
    for number, each in enumerate(folders):
        members = [f"cluster_formation.classic_config.nodes.{n} = {names[n]}" for n in sorted({0, number})]
        with (each / "rabbitmq.conf").open("a") as file:
            file.write("\n".join([f"load_definitions = {definitions}", *members, *shipped, _SETTINGS]))
    return nodes


@contextmanager
def rabbit_cluster() -> Iterator[RabbitCluster]:
    """Start a cluster of three and remove it afterwards."""
    need_rabbitmq("three RabbitMQ nodes of the test's own")
    with tempfile.TemporaryDirectory(prefix="cw-rabbits-") as name, RabbitCluster(Path(name)) as cluster:
        yield cluster
