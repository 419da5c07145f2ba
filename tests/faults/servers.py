"""The servers of a run, on loopback, that can be stopped, killed and started again. Redis has a file of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from tests.faults.forkserver import ForkServer
from tests.integration.stack import Process
from tests.processes import free_port
from tests.rabbit import Node

START_SECONDS, STOP_SECONDS = 180.0, 30.0
MAX_STARTS = 3
"""A RabbitMQ that was killed may find its own name still taken, and end."""

TICK_MS, USUAL_CONSUMER_TIMEOUT_MS = 500, "1800000"
"""How often a channel looks for messages that were not acknowledged, and for how long they may be."""

PROJECT = Path(__file__).parents[2]
URGENT = ("nice", "-n", "-10") if os.geteuid() == 0 else ()
"""The prefix of a command whose sense of time must not suffer from what else the machine does; only root may."""


class ServerTrouble(Exception):
    """A server did not start or did not do as told. The run ends, because it says nothing about the worker."""


def wait_for(holds: Callable[[], bool], what: str, seconds: float, pause_seconds: float = 0.05) -> None:
    """Poll until `holds()`. Raises ServerTrouble after `seconds`."""
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            raise ServerTrouble(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause_seconds)


class Server:
    """A command in a process group of its own. A context manager that starts and ends it."""

    def __init__(
        self, command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self._command, self._folder, self._environ = command, folder, environ
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerTrouble(f"{self._command[0]} does not run")
        return self._process.pid

    def answers(self) -> bool:
        """Return whether clients are served; by default, whether the process runs."""
        return True

    def start(self) -> None:
        self._process = self._spawn()
        wait_for(self._up_or_ended, f"{self._command[0]} answers", START_SECONDS)
        if self._process.poll() is not None:
            raise ServerTrouble(f"{self._command[0]} ended; see {self._folder / 'output'}")

    def stop(self) -> None:
        """Stop the server as an operator would; kill it if that takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to all its processes at once."""
        self._end(signal.SIGKILL)

    def restart(self, end: Callable[[], None], away_seconds: float) -> None:
        """End the server with `stop` or `kill`, and start it again after a while with what is on its disk."""
        end()
        time.sleep(away_seconds)
        Retrying(
            retry=retry_if_exception_type(ServerTrouble),
            stop=stop_after_attempt(MAX_STARTS),
            wait=wait_fixed(1),
            before_sleep=lambda _: self.kill(),
            reraise=True,
        )(self.start)

    def _spawn(self) -> Process:
        with (self._folder / "output").open("ab") as output:
            # restore_signals=False: SIGXFSZ stays ignored, as a full disk raises no signal either.
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environ,
                cwd=self._folder,
                start_new_session=True,
                restore_signals=False,
            )

    def _send(self, process: Process, number: signal.Signals) -> None:
        os.killpg(process.pid, number)

    def _up_or_ended(self) -> bool:
        return (self._process is not None and self._process.poll() is not None) or self.answers()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for how in (number, signal.SIGKILL):
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                self._send(process, how)
                process.wait(STOP_SECONDS)
                break
        self._wait_for_group(process)

    def _wait_for_group(self, process: Process) -> None:
        """Wait for the whole group: a script may end before its server does, whose port is then still taken."""
        with suppress(ProcessLookupError):
            ends = time.monotonic() + STOP_SECONDS
            while time.monotonic() < ends:
                os.killpg(process.pid, 0)
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)


class Rabbit(Server):
    """A RabbitMQ node whose queues are quorum queues, with a name service of its own."""

    def __init__(self, folder: Path) -> None:
        node = Node.configured(folder, erlang=f"-rabbit channel_tick_interval {TICK_MS}")
        super().__init__(node.command, folder, node.environ)
        self._node, self.port = node, node.port
        self._names = Server(node.name_service, folder, node.environ)
        self.vhost = "faults"

    def __enter__(self) -> Self:
        self._names.start()
        self.start()
        # A node takes connections a moment before it takes this command.
        Retrying(
            retry=retry_if_exception_type(ServerTrouble),
            stop=stop_after_attempt(MAX_STARTS),
            wait=wait_fixed(1),
            reraise=True,
        )(self._control, "add_vhost", "--default-queue-type", "quorum", self.vhost)
        self._control("set_permissions", "-p", self.vhost, "guest", ".*", ".*", ".*")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._names.stop()

    @property
    def url(self) -> str:
        return self._node.url(vhost=self.vhost)

    def answers(self) -> bool:
        return self._node.answers()

    @contextmanager
    def consumer_timeout(self, seconds: float) -> Iterator[None]:
        """Within this context, RabbitMQ closes the channel of a consumer that keeps a message for longer than this."""
        self._set_consumer_timeout(f"{seconds * 1000:.0f}")
        try:
            yield
        finally:
            self._set_consumer_timeout(USUAL_CONSUMER_TIMEOUT_MS)

    def _set_consumer_timeout(self, milliseconds: str) -> None:
        """Set the timeout and close all connections, because a channel keeps the timeout of its start."""
        self._control("eval", f"application:set_env(rabbit, consumer_timeout, {milliseconds}).")
        self._control("close_all_connections", "the consumer timeout is another one now")

    def _control(self, *arguments: str) -> None:
        """Run `rabbitmqctl`, for what AMQP cannot do."""
        try:
            self._node.control(*arguments)
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace")[:300]
            raise ServerTrouble(f"rabbitmqctl {arguments[0]}: {said}") from error


@dataclass(frozen=True)
class Served:
    """A request that the provider has read completely: when (Unix seconds), for which number, whether it rang, and
    whether it was answered with a ref."""

    unix: float
    phone: str
    rung: bool
    answered: bool


class Provider(Server):
    """The sandbox in a process of its own, so that the harness' work does not delay its timestamps."""

    def __init__(self, folder: Path, forks: ForkServer | None = None, host: str = "127.0.0.1") -> None:
        """Make a provider that `forks` forks; without it, a new interpreter is started."""
        self.port = free_port()
        self.url = f"http://{host}:{self.port}"
        self._forks = forks
        self._arguments = ["-m", "worker.cli", "sandbox", "--host", host, "--port", str(self.port)]
        environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
        super().__init__([*URGENT, sys.executable, *self._arguments], folder, environ)

    def _spawn(self) -> Process:
        if self._forks is None:
            return super()._spawn()
        return self._forks.fork(self._arguments, os.environ, self._folder / "output", first=True)

    def _send(self, process: Process, number: signal.Signals) -> None:
        process.send_signal(number)

    def answers(self) -> bool:
        with suppress(OSError):
            return bool(self._get("/_health") is not None)
        return False

    def served(self) -> list[Served]:
        """Return every request since the start."""
        rows = (json.loads(line) for line in self._get("/_requests").splitlines())
        return [Served(row["unix"], row["phone"], row["rung"], row["answer"] == "ref") for row in rows]

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            content: bytes = answer.read()
            return content
