"""`python -m tests.faults`: the long run, and its table."""

from __future__ import annotations

import argparse
import sys
import threading
from fnmatch import fnmatchcase
from pathlib import Path

from tests.faults.bench import Bench
from tests.faults.cells import cells
from tests.faults.report import Row, markdown, sentence
from tests.faults.trials import run_cell

BROKERS = ("redis", "amqp")


def main() -> int:
    """Run the cells asked for, print progress and the table; 1 if anything was lost, doubled or too fast."""
    asked = _arguments()
    rows: list[Row] = []
    brokers = [asked.broker] if asked.broker else BROKERS
    threads = [
        threading.Thread(target=_work, args=(broker, asked.trials, asked.cells, rows)) for broker in brokers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = markdown(rows)
    print(table)
    if asked.write:
        asked.write.write_text(table, encoding="utf-8")
    return 1 if not rows or any(row.bad for row in rows) else 0


def _work(broker: str, trials: int, pattern: str, rows: list[Row]) -> None:
    chosen = [cell for cell in cells(broker) if fnmatchcase(cell.name, pattern)]
    if not chosen:
        return
    with Bench(broker) as bench:
        for cell in chosen:
            row = run_cell(bench, cell, trials)
            rows.append(row)
            print(sentence(row), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=200, metavar="N", help="per cell; default 200")
    parser.add_argument(
        "--cells", default="*", metavar="PATTERN", help="as 'point.settle.*' or 'net.*'; default all"
    )
    parser.add_argument("--broker", choices=BROKERS, help="default: both, at once")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the table here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
