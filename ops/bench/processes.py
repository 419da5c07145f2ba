"""Pauses and continues worker processes with all their children, and reads their costs from /proc. Linux only."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.faults.servers import START_SECONDS, Server, ServerTrouble

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_UTIME, _CSTIME, _SESSION, _RSS = 11, 14, 3, 21
"""Fields of /proc/PID/stat, counted from the one after the name."""

_STARTED_SECONDS, _REST_SECONDS, _LOOK_SECONDS = 0.3, 0.1, 0.5
"""A worker has started once it used the first (CPU time), and is at rest if it uses at most the second per look."""


class WorkerTree(Server):
    """A worker and everything that it forks: all processes in its session."""

    def __init__(self, command: Sequence[str], folder: Path, environ: Mapping[str, str], cwd: Path) -> None:
        super().__init__(["env", "--chdir", str(cwd), *command], folder, environ)
        self._output = folder / "output"

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def wait_until_at_rest(self) -> None:
        """Wait until it has started and is idle, because few queues say when they are ready. Raises ServerTrouble."""
        ends, used = time.monotonic() + START_SECONDS, 0.0
        while (now := self.cpu_seconds()) < _STARTED_SECONDS or now - used > _REST_SECONDS:
            self.check()
            if time.monotonic() > ends:
                raise ServerTrouble("a worker did not come to rest")
            used = now
            time.sleep(_LOOK_SECONDS)

    def end_status(self, seconds: float) -> int:
        """Tell it to stop and return its exit status. Raises ServerTrouble if it has not ended within `seconds`."""
        self.check()
        process, self._process = self._process, None
        assert process is not None  # noqa: S101 (checked)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process = process
            raise ServerTrouble("a worker does not end") from None

    def cpu_seconds(self) -> float:
        """Return user and system time so far, including ended children, in steps of 10 ms per process."""
        return cpu_seconds_of(self.pid)

    def cpu_seconds_by_thread(self) -> dict[str, float]:
        """Return the same for living threads, by name; a process' first is "main". Equal names are added up."""
        found: dict[str, float] = {}
        for pid, _ in members(self.pid):
            for folder in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    name = "main" if folder.name == str(pid) else (folder / "comm").read_text().strip()
                    ticks = sum(map(int, _stat(folder)[_UTIME : _UTIME + 2]))
                    found[name] = found.get(name, 0.0) + ticks / _TICKS
        return found

    def peak_bytes(self) -> int:
        """Return the sum of the processes' largest resident sets so far; shared pages count for each process."""
        return sum(_peak_kib(pid) for pid, _ in members(self.pid)) * 1024

    def check(self) -> None:
        """Raise ServerTrouble with the end of its output if it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise ServerTrouble(f"a worker ended:\n{self.tail()}")

    def tail(self) -> str:
        """Return the end of the output of the workers in this folder."""
        return self._output.read_text(encoding="utf-8", errors="replace")[-2000:]

    def _signal(self, number: signal.Signals) -> None:
        for pid, _ in members(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def cpu_seconds_of(session: int) -> float:
    """Return the user and system time so far of a session's processes, including ended children."""
    return sum(sum(map(int, stat[_UTIME : _CSTIME + 1])) for _, stat in members(session)) / _TICKS


def resident_bytes_of(session: int) -> int:
    """Return the resident sets of a session's processes, added up."""
    return sum(int(stat[_RSS]) for _, stat in members(session)) * _PAGE_BYTES


def members(session: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the processes of a session, with the fields of /proc/PID/stat from the state on."""
    for pid, stat in _all():
        if stat[_SESSION] == str(session):
            yield pid, stat


def _all() -> Iterator[tuple[int, list[str]]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # ended meanwhile
                yield int(folder.name), _stat(folder)


def _stat(folder: Path) -> list[str]:
    """Return the fields from the state on; the name before it may contain anything."""
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()


def _peak_kib(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
