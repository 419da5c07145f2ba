"""`python -m tests.faults`: the long run, and its table."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

from tests.faults.bench import Bench
from tests.faults.cells import Cell, cells
from tests.faults.report import Row, markdown, sentence
from tests.faults.trials import run_cell

BROKERS = ("redis", "amqp")


def main() -> int:
    """Run the cells asked for, print progress and the table; 1 if anything was lost, doubled or too fast."""
    asked = _arguments()
    table = Table(asked.write)
    brokers = [asked.broker] if asked.broker else BROKERS
    with ThreadPoolExecutor(len(brokers) * asked.benches) as pool:
        runs = []
        for broker in brokers:
            chosen = iter(_chosen(broker, asked.cells))
            runs += [pool.submit(_work, broker, chosen, asked.trials, table) for _ in range(asked.benches)]
    for run in runs:
        run.result()
    print(markdown(table.rows))
    return 1 if not table.rows or any(row.bad for row in table.rows) else 0


class Table:
    """The rows so far, kept in a file after each, where one is given: a run that is cut short has something to show."""

    def __init__(self, file: Path | None) -> None:
        self.rows: list[Row] = []
        self._file, self._lock = file, threading.Lock()

    def add(self, rows: Sequence[Row]) -> None:
        with self._lock:
            self.rows += rows
            print(*map(sentence, rows), sep="\n", flush=True)
            if self._file is not None:
                self._file.write_text(markdown(self.rows), encoding="utf-8")


def _chosen(broker: str, patterns: str) -> list[Cell]:
    return cells(broker, lambda name: any(fnmatchcase(name, one) for one in patterns.split(",")))


def _work(broker: str, chosen: Iterator[Cell], trials: int, table: Table) -> None:
    """Do one cell after the other, on servers of one's own, as long as there are any."""
    with Bench(broker) as bench:
        for cell in chosen:
            table.add(run_cell(bench, cell, trials))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=200, metavar="N", help="per cell; default 200")
    parser.add_argument(
        "--cells", default="*", metavar="PATTERNS", help="as 'point.settle.*,net.*'; default all"
    )
    parser.add_argument(
        "--benches",
        type=int,
        default=1,
        metavar="N",
        help="installations of each broker, side by side; default 1",
    )
    parser.add_argument("--broker", choices=BROKERS, help="default: both, at once")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the table here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
