"""The long run of a harness: a crew of installations side by side carries out a plan."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from fnmatch import fnmatchcase
from multiprocessing.connection import wait
from pathlib import Path
from typing import NoReturn

from tests.faults.harness import Harness
from tests.faults.installation import Installation, Trouble
from tests.faults.plan import Plan
from tests.faults.report import Table

LOOK_SECONDS = 5.0
MAX_TROUBLES = 30


def main(harness: Harness, prog: str, description: str | None) -> int:
    """Run the cells asked for, print progress and the table; 1 if a promise was broken or a trial is missing."""
    try:
        return _run(harness, _arguments(harness, prog, description))
    except KeyboardInterrupt:
        return 130


def _run(harness: Harness, asked: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _end)
    kinds = [asked.kind] if asked.kind else list(harness.benches)
    crew_of = [kind for kind in kinds for _ in range(asked.benches or harness.benches[kind])]

    def wanted(name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in asked.cells.split(","))

    plan = Plan.of(asked.trials, {kind: harness.cells(kind, wanted) for kind in kinds})
    table = Table(plan.rows, asked.write, len(crew_of), harness.title, harness.told, harness.kind)
    crew = Crew(harness, plan, table, asked.keep)
    try:
        crew.work(crew_of)
    finally:
        crew.leave()
    print(table.text())
    return 1 if not plan.rows or any(row.bad for row in plan.rows) else 0


class Crew:
    """Distributes the units of work to the installations and collects their results."""

    def __init__(self, harness: Harness, plan: Plan, table: Table, keep: Path | None) -> None:
        self._harness, self._plan, self._table, self._keep = harness, plan, table, keep
        self._installations: list[Installation] = []
        self._idle: list[Installation] = []
        self._troubles = 0

    def work(self, brokers: Sequence[str]) -> None:
        """Work until the plan is done or has been given up. `brokers` has one entry for each installation to start."""
        for broker in brokers:
            self._employ(broker)
        while busy := [one for one in self._installations if one.unit is not None]:
            ready = wait([one.connection for one in busy], LOOK_SECONDS)
            for one in busy:
                if one.connection in ready:
                    self._take(one)
                elif one.overdue:
                    self._replace(one, "overdue")

    def leave(self) -> None:
        """End all installations. Further signals are ignored, so that everything is cleared away."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for one in self._installations:
            one.dismiss()
        for one in self._installations:
            one.join()
        self._installations.clear()

    def _employ(self, broker: str) -> None:
        self._installations.append(Installation(self._harness, broker, self._keep, self._installations))
        self._idle.append(self._installations[-1])
        self._occupy()

    def _occupy(self) -> None:
        """Give a unit of work to each idle installation."""
        for one in list(self._idle):
            if (unit := self._plan.give(one.broker)) is not None:
                self._idle.remove(one)
                one.give(unit)

    def _take(self, one: Installation) -> None:
        answer = one.take()
        if isinstance(answer, Trouble):
            self._replace(one, answer.text)
            return
        assert one.unit is not None
        self._plan.done(one.unit, answer)
        one.unit = None
        self._idle.append(one)
        self._table.keep(answer)
        self._occupy()

    def _replace(self, one: Installation, why: str) -> None:
        assert one.unit is not None
        print(
            f"TROUBLE {one.broker} {one.unit.names[0]}, {one.unit.trials} trials not counted: {why}",
            flush=True,
        )
        self._plan.failed(one.unit)
        self._installations.remove(one)
        one.dismiss()
        one.join()
        self._table.troubles = self._troubles = self._troubles + 1
        if self._troubles <= MAX_TROUBLES:
            self._employ(one.broker)


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _arguments(harness: Harness, prog: str, description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--trials", type=int, default=200, metavar="N", help="per cell; default 200")
    parser.add_argument("--cells", default="*", metavar="PATTERNS", help="separated by commas; default all")
    parser.add_argument(
        "--benches",
        type=int,
        metavar="N",
        help=f"installations of each kind, side by side; default {dict(harness.benches)}",
    )
    parser.add_argument(
        f"--{harness.kind}", dest="kind", choices=harness.benches, help="default: all, at once"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the table here")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the logs here of runs in which a promise was broken"
    )
    return parser.parse_args()
