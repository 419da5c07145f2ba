"""Tries faults side by side, each in a process of its own with servers of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from ops.pages.fault import Fault
from ops.pages.verdict import TROUBLE, Row

ONE_WITHIN_SECONDS = 600.0
"""For a scene, from its start to its end; some faults take half of it."""

LEAVES_WITHIN_SECONDS = 90.0


class Crew:
    """The processes. No fault is begun after `minutes`, and none is waited for longer."""

    def __init__(self, factor: float, minutes: float) -> None:
        self._factor, self._ends = factor, time.monotonic() + minutes * 60
        self._running: set[subprocess.Popen[str]] = set()

    def work(self, faults: Sequence[Fault], side_by_side: int) -> Iterator[Row]:
        """Try the faults, those that take longest first. Yields each row when it is there."""
        lanes = ThreadPoolExecutor(side_by_side)
        longest_first = sorted(faults, key=lambda fault: bool(fault.alert))
        try:
            for done in as_completed([lanes.submit(self._try, fault) for fault in longest_first]):
                yield done.result()
        finally:
            lanes.shutdown(wait=False, cancel_futures=True)
            for process in list(self._running):
                self._dismiss(process)

    def _try(self, fault: Fault) -> Row:
        """Try a fault, and once more if the harness itself had trouble."""
        row = self._once(fault)
        again = any(problem.startswith(TROUBLE) for problem in row.problems)
        return self._once(fault) if again and self._left() > 0 else row

    def _once(self, fault: Fault) -> Row:
        if self._left() <= 0:
            return _trouble(fault, "not tried: the time is up")
        command = [sys.executable, "-m", "ops.pages", "--one", "--only", fault.name]
        command += ["--factor", str(self._factor)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._running.add(process)
        try:
            return Row(**json.loads(process.communicate(timeout=min(ONE_WITHIN_SECONDS, self._left()))[0]))
        except subprocess.TimeoutExpired:
            return _trouble(fault, "it took too long")
        except ValueError:
            return _trouble(fault, f"exit status {process.returncode}")
        finally:
            self._dismiss(process)

    def _left(self) -> float:
        return self._ends - time.monotonic()

    def _dismiss(self, process: subprocess.Popen[str]) -> None:
        """End a process, and with it its servers."""
        self._running.discard(process)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(LEAVES_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _trouble(fault: Fault, why: str) -> Row:
    return Row(fault.name, fault.told, fault.alert, problems=[f"{TROUBLE}: {why}"])
