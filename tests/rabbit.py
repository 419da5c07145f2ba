"""A RabbitMQ of a test module's own, with users of fewer rights and TLS on a second port."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kombu import Connection

from tests.conftest import (
    EXCHANGES,
    QUEUES,
    RABBITMQ_SCRIPT,
    accepts_amqp,
    free_port,
    need_rabbitmq,
    process,
    rabbitmq_environ,
    wait_until,
)
from tests.tls import Authority


@dataclass(frozen=True)
class Node:
    """`guest` may do everything; `porter` may read and write, not configure, `writer` and `reader` only one of these.

    `least` has what the README asks for.
    """

    port: int
    tls_port: int
    authority: Path
    environ: Mapping[str, str]

    def url(self, user: str = "guest", vhost: str = "/") -> str:
        return f"amqp://{user}:{user}@127.0.0.1:{self.port}/{vhost}"

    def empty(self) -> None:
        """Delete the program's queues and exchanges."""
        with Connection(self.url()) as connection, connection.channel() as channel:
            for name in QUEUES:
                channel.queue_delete(name)
            for name in EXCHANGES:
                channel.exchange_delete(name)

    def control(self, *words: str) -> None:
        """Run a command of `rabbitmqctl`."""
        tool = RABBITMQ_SCRIPT.with_name("rabbitmqctl")
        subprocess.run([tool, *words], env=dict(self.environ), check=True, capture_output=True, timeout=60)


@contextmanager
def rabbitmq_node() -> Iterator[Node]:
    """A node that runs, and is gone afterwards."""
    need_rabbitmq()
    with tempfile.TemporaryDirectory(prefix="cw-rights-") as name:
        folder, tls_port = Path(name), free_port()
        port, environ = rabbitmq_environ(folder)
        authority = Authority(folder, "ours")
        _configure(folder, tls_port, authority)
        epmd = ["epmd", "-port", environ["ERL_EPMD_PORT"], "-address", "127.0.0.1"]
        with process(epmd, folder, environ), process([str(RABBITMQ_SCRIPT)], folder, environ) as server:
            wait_until(lambda: server.poll() is not None or accepts_amqp(port), "RabbitMQ accepts a client")
            assert server.poll() is None, (folder / "output").read_text(errors="replace")
            yield Node(port, tls_port, authority.pair.certificate, environ)


def _configure(folder: Path, tls_port: int, authority: Authority) -> None:
    pair, definitions = authority.issue("broker"), folder / "definitions.json"
    definitions.write_text(json.dumps(_definitions()))
    with (folder / "rabbitmq.conf").open("a") as conf:
        conf.write(
            f"load_definitions = {definitions}\nlisteners.ssl.1 = 127.0.0.1:{tls_port}\n"
            f"ssl_options.certfile = {pair.certificate}\nssl_options.keyfile = {pair.key}\n"
            f"ssl_options.cacertfile = {authority.pair.certificate}\n"
        )


def _definitions() -> dict[str, object]:
    own = r"calls|calls\..*|results"
    rights = {
        "guest": (".*", ".*", ".*"),
        "porter": ("^$", ".*", ".*"),
        "writer": ("^$", ".*", "^$"),
        "reader": ("^$", "^$", ".*"),
        "least": (f"^({own})$", rf"^({own}|amq\.default)$", f"^({own})$"),
    }
    return {
        "users": [{"name": name, "password": name, "tags": ""} for name in rights],
        "vhosts": [{"name": "/"}],
        "permissions": [
            {"user": user, "vhost": "/", "configure": configure, "write": write, "read": read}
            for user, (configure, write, read) in rights.items()
        ],
    }
