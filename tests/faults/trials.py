"""Runs a cell: so many trials, a drain after every few, and one judgement at the end."""

from __future__ import annotations

from tests.faults.bench import Bench, Run
from tests.faults.cells import Cell
from tests.faults.report import Row

FRUITLESS_MOST = 3
"""A cell whose fault did not come about so often in a row is given up, and its row says so."""


def run_cell(bench: Bench, cell: Cell, trials: int) -> Row:
    """Its row of the table."""
    row = Row(bench.broker, cell.name)
    while row.trials < trials and row.fruitless < FRUITLESS_MOST:
        _round(bench, cell, min(cell.trials_per_drain * 5, trials - row.trials), row)
    return row


def _round(bench: Bench, cell: Cell, trials: int, row: Row) -> None:
    """One fleet and one provider's log; workers' logs stay small that way."""
    with bench.run(proxied=cell.proxied) as run:
        run.fleet.stand(cell.standing)
        tried = 0
        while tried < trials and row.fruitless < FRUITLESS_MOST:
            tried += _some(cell, run, min(cell.trials_per_drain, trials - tried), row)
            run.drain()
        row.take(run.judge(), run.drains, run.fleet.deaths)


def _some(cell: Cell, run: Run, trials: int, row: Row) -> int:
    done = 0
    while done < trials and row.fruitless < FRUITLESS_MOST:
        if cell.trial(run):
            done, row.trials, row.fruitless = done + 1, row.trials + 1, 0
        else:
            row.fruitless, row.missed = row.fruitless + 1, row.missed + 1
    return done
