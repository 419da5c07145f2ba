"""A Redis that a test may stop, freeze and kill."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import redis

from tests.processes import absent, free_port, process, wait_until, wait_until_served
from worker.embedded import EmbeddedServerError, find_binary

_OUTLIVES_A_FULL_DISK = ["/bin/sh", "-c", 'trap "" XFSZ; exec "$@"', "sh"]
"""Runs a command that gets an error, not a signal, for a file that may not grow."""


def redis_binary() -> str:
    """Return the program that the embedded server would run; without one, skip or fail the test, as `absent` does."""
    try:
        return str(find_binary().path)
    except EmbeddedServerError:
        absent("a Redis or Valkey server")


class RedisServer:
    """A Redis on `port`, or else on a free one, that can be ended and started again. A context manager that starts it.

    It keeps an append-only file, synced each second, unless the additional server `options` say otherwise. `environ` is
    added to its environment. `sync_seconds` is how much longer the disk takes for a sync; if it is not 0, strace runs
    the server.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        environ: Mapping[str, str] | None = None,
        sync_seconds: float = 0.0,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder, self._options, self._sync_seconds = folder, options, sync_seconds
        self._environ = {**os.environ, **(environ or {})}
        self._running = ExitStack()
        self._process: subprocess.Popen[bytes]

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)]
        kept = ["--appendonly", "yes", "--save", ""]
        command = [*self._slowing(), *_OUTLIVES_A_FULL_DISK, redis_binary(), *options, *kept, *self._options]
        self._process = self._running.enter_context(process(command, self._folder, self._environ))
        wait_until_served(self._process, self.answers, self._folder)

    def stop(self) -> None:
        """Stop the server as an operator would, with its data on disk."""
        self._running.close()

    def kill(self) -> None:
        """Kill the server with SIGKILL; with strace, the server and not strace."""
        with redis.Redis.from_url(self.url) as client:
            facts: Any = client.info("server")
        os.kill(facts["process_id"], signal.SIGKILL)
        self._process.wait(20)
        self._running.close()

    def freeze(self) -> None:
        """Stop it with SIGSTOP: it stays connected, answers nothing, and reads what was sent once it is thawed."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        """Let no file of the server grow any more: each write of its append-only file fails from now on."""
        self._limit_files(0)

    def free_disk(self) -> None:
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size: int) -> None:
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def answers(self) -> bool:
        """Return whether the server serves clients, even if only those with a password."""
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _slowing(self) -> list[str]:
        if not self._sync_seconds:
            return []
        if not shutil.which("strace"):
            absent("strace")
        inject = f"inject=fdatasync:delay_enter={self._sync_seconds * 1e6:.0f}"
        return ["strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=fdatasync", "-e", inject]


@contextmanager
def redis_server(environ: Mapping[str, str] | None = None) -> Iterator[RedisServer]:
    """Start a Redis; end it and remove its data afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="cw-redis-") as name,
        RedisServer(Path(name), environ=environ) as server,
    ):
        yield server


def follow(replica: Any, primary: Any, port: int = 0) -> None:
    """Make one server the replica of another; return once it has all the data. Both are clients.

    `port` is where the replica finds the primary, if that is not the primary's own.
    """
    for server in (primary, replica):
        server.config_set("repl-diskless-sync-delay", "0")
    replica.replicaof("127.0.0.1", port or _port(primary))
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", "the replica follows")


def fail_over(primary: Any, replica: Any) -> None:
    """Make the replica the primary once it has everything; the other one follows it and keeps its clients.

    A replica that is promoted sooner loses what was still on its way.
    """
    wait_until(lambda: _offset(replica, "slave") >= _offset(primary, "master"), "the replica has everything")
    replica.replicaof("NO", "ONE")
    primary.replicaof("127.0.0.1", _port(replica))
    wait_until(lambda: primary.info("replication")["master_link_status"] == "up", "the old primary follows")


def _port(client: Any) -> int:
    return int(client.connection_pool.connection_kwargs["port"])


def _offset(client: Any, role: str) -> int:
    return int(client.info("replication")[f"{role}_repl_offset"])
