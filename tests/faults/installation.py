"""Installations side by side, each with servers and a harness process of its own, so that the work of one does not
delay the waits of another."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from tests.faults.harness import Harness
from tests.faults.report import Row
from tests.faults.trials import Unit, run_unit

UNIT_WITHIN_SECONDS = 1200.0
STOP_SECONDS = 90.0

_context = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Trouble:
    """The reason why an installation could not go on."""

    text: str


class Installation:
    """The crew's side of an installation that is up or starting. Create it in a process with one thread only."""

    def __init__(
        self, harness: Harness, broker: str, keep: Path | None, others: Sequence[Installation]
    ) -> None:
        self.broker = broker
        self.unit: Unit | None = None
        self.connection, theirs = _context.Pipe()
        self._since = 0.0
        # A copy of these in the new process would keep it from noticing that the crew's process has ended.
        outer = [self.connection, *(other.connection for other in others)]
        self._process = _context.Process(target=_serve, args=(harness, broker, keep, theirs, outer))
        self._process.start()
        theirs.close()

    @property
    def overdue(self) -> bool:
        return self.unit is not None and time.monotonic() - self._since > UNIT_WITHIN_SECONDS

    def give(self, unit: Unit) -> None:
        self.unit, self._since = unit, time.monotonic()
        self.connection.send(unit)

    def take(self) -> list[Row] | Trouble:
        """Wait for the result of the unit, and return it."""
        try:
            answer: list[Row] | Trouble = self.connection.recv()
        except (EOFError, OSError):
            return Trouble("its harness is gone")
        return answer

    def dismiss(self) -> None:
        """Tell the installation to end."""
        self._process.terminate()

    def join(self) -> None:
        """Wait until its process has ended; kill it if that takes too long."""
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()


def _serve(
    harness: Harness, broker: str, keep: Path | None, connection: Connection, outer: Sequence[Connection]
) -> None:
    """Carry out units of work on servers of its own until told to end."""
    for one in outer:
        one.close()
    # Ctrl-C goes to every process in the terminal's foreground; only the crew says when to end.
    os.setsid()
    signal.signal(signal.SIGTERM, _end)
    try:
        with harness.bench(broker) as bench:
            cold = 1
            while True:
                unit = connection.recv()
                [cell] = harness.cells(broker, unit.names.__contains__)
                connection.send(run_unit(bench, cell, unit, keep, cold=cold))
                cold = 0
    except EOFError:
        return
    except Exception as error:
        connection.send(Trouble("".join(traceback.format_exception(error))))


def _end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)
