"""Ports, processes and waiting, for the tests that start a server of their own."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

START_SECONDS = 60
STOP_SECONDS = 20
BACKLOG = 1024
"""Connections that a test's server lets wait: one that finds no room is made a second late, or later."""

PORTS, MAX_PORTS = range(10_000, 30_000), 2_000
"""The system gives none of `PORTS` to a connection; the last `MAX_PORTS` handed out stay marked."""

CHANCE = random.SystemRandom()
"""A random source without a seed, because tests run side by side with the same seed."""

SERVERS_ARE_REQUIRED = os.environ.get("CALLWORKER_REQUIRE_SERVERS") == "1"


def absent(server: str) -> NoReturn:
    """Skip the test; fail it if CALLWORKER_REQUIRE_SERVERS=1 promises every server, as in CI."""
    if SERVERS_ARE_REQUIRED:
        pytest.fail(f"{server} is required here and was not found")
    pytest.skip(f"needs {server}")


def wait_until(holds: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Poll until `holds()`; fail the test if it does not within `seconds`."""
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class _Ports:
    """Gives each port to only one test process of this machine at a time.

    A lock on one byte of a common file marks a port. It ends with the process, and is not inherited.
    """

    def __init__(self) -> None:
        name = f"callworker-test-ports-{os.getuid()}"
        self._marks = (Path(tempfile.gettempdir()) / name).open("ab")
        self._handed_out: deque[int] = deque()

    def next(self, above: int) -> int:
        while True:
            port = CHANCE.choice(PORTS)
            wanted = {port, port + above}
            if all(one in PORTS and one not in self._handed_out and self._mark(one) for one in wanted):
                return port

    def _mark(self, port: int) -> bool:
        with suppress(OSError):
            fcntl.lockf(self._marks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            self._handed_out.append(port)
            self._give_up_the_oldest()
            with socket.create_server(("127.0.0.1", port)):
                return True
        return False

    def _give_up_the_oldest(self) -> None:
        if len(self._handed_out) > MAX_PORTS:
            fcntl.lockf(self._marks, fcntl.LOCK_UN, 1, self._handed_out.popleft())


_PORTS = _Ports()


def free_port(above: int = 0) -> int:
    """Return a port on which nothing listens, and which no other test gets before this test's server has started.

    The same is true of the port that is `above` higher.
    """
    return _PORTS.next(above)


@contextmanager
def process(
    command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process group of its own, and end the group. Its output goes to the file `output`."""
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


def wait_until_served(server: subprocess.Popen[bytes], answers: Callable[[], bool], folder: Path) -> None:
    """Wait until a server answers; fail the test with its output if it ends instead."""
    wait_until(lambda: server.poll() is not None or answers(), f"{server.args!r} answers")
    assert server.poll() is None, (folder / "output").read_text(errors="replace")


def _end(server: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, how)
            server.wait(STOP_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
