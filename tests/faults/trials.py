"""Runs a unit of work: some trials of a cell on one installation, a drain after every few, and a verdict."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults.bench import Bench
from tests.faults.cell import Cell
from tests.faults.report import Row


@dataclass(frozen=True)
class Unit:
    """A unit of work: `trials` of each named fault, put in together, on an installation with this broker."""

    broker: str
    names: tuple[str, ...]
    trials: int


def run_unit(bench: Bench, cell: Cell, unit: Unit, keep: Path | None = None, *, cold: int = 0) -> list[Row]:
    """Run a unit of `cell` and return a table row for each of its names.

    The run's verdict is in the row of each of its faults.

    `keep` is the folder for workers' logs if a promise was broken. `cold` standing workers are not forked.
    """
    rows = [Row(bench.broker, name) for name in cell.names]
    with bench.run(
        proxied=cell.proxied, apart=cell.apart, settings=cell.settings, endings=cell.endings
    ) as run:
        run.fleet.stand(cell.standing, cold=cold)
        for count in _portions(cell, unit.trials):
            _count(cell.trial(run, count), count, rows)
            run.drain()
        verdict = run.judge(unharmed=cell.unharmed)
        for row in rows:
            row.take(verdict, run.drains, run.fleet.deaths, run.pauses)
        if verdict.violations and keep is not None:
            _keep(run.folder, keep / f"{unit.names[0]}-{bench.broker}-{run.folder.name}", verdict.details)
    return rows


def _portions(cell: Cell, trials: int) -> list[int]:
    """Return the numbers of trials before each drain."""
    most = cell.trials_per_drain
    return [min(most, trials - n) for n in range(0, trials, most)]


def _count(came_about: Counter[str], count: int, rows: list[Row]) -> None:
    for row in rows:
        row.trials += came_about[row.cell]
        row.missed += count - came_about[row.cell]


def _keep(folder: Path, place: Path, details: list[str]) -> None:
    shutil.copytree(folder, place)
    (place / "details").write_text("\n".join(details), encoding="utf-8")
