"""Runs a cell: so many trials, a drain after every few, and a judgement after some of those."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.faults.bench import Bench
from tests.faults.cells import Cell
from tests.faults.report import Row

FRUITLESS_MOST = 3
"""A fault that did not come about so often in a row is given up, and its row says so."""

DRAINS_PER_RUN = 5


def run_cell(bench: Bench, cell: Cell, trials: int) -> list[Row]:
    """A row of the table for each of its names. What a run came to stands in the row of each fault in it."""
    rows = [Row(bench.broker, name) for name in cell.names]
    while _left(rows, trials):
        _round(bench, cell, trials, rows)
    return rows


def _round(bench: Bench, cell: Cell, trials: int, rows: Sequence[Row]) -> None:
    """One fleet and one provider's log; workers' logs stay small that way."""
    with bench.run(proxied=cell.proxied, apart=cell.apart) as run:
        run.fleet.stand(cell.standing)
        for _ in range(DRAINS_PER_RUN):
            for _ in range(min(cell.trials_per_drain, _left(rows, trials))):
                _count(cell.trial(run), rows)
            run.drain()
            if not _left(rows, trials):
                break
        verdict = run.judge()
        for row in rows:
            row.take(verdict, run.drains, run.fleet.deaths)


def _count(came_about: Collection[str], rows: Sequence[Row]) -> None:
    for row in rows:
        if row.cell in came_about:
            row.trials, row.fruitless = row.trials + 1, 0
        else:
            row.missed, row.fruitless = row.missed + 1, row.fruitless + 1


def _left(rows: Sequence[Row], trials: int) -> int:
    """Trials that are still to be done: those of the fault that has come about least often and was not given up."""
    return max((trials - row.trials for row in rows if row.fruitless < FRUITLESS_MOST), default=0)
