"""`python -m ops.pages`: puts every fault in, and writes which pages it caused."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

from ops.pages import calls, jobs, servers, trial
from ops.pages.crew import Crew
from ops.pages.fault import FACTOR, Fault
from ops.pages.table import markdown, sentence
from ops.pages.verdict import Row

FAULTS: tuple[Fault, ...] = (*servers.FAULTS, *calls.FAULTS, *jobs.FAULTS)
SIDE_BY_SIDE = 4
MINUTES = 45.0


def main() -> int:
    """Run the faults asked for, print progress, write the table; 1 if a fault has a problem or none was asked for."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, _end)
    chosen = [one for one in FAULTS if any(fnmatchcase(one.name, each) for each in asked.only.split(","))]
    if asked.one:
        print(json.dumps(asdict(trial.run(chosen[0], asked.factor))))
        return 0
    rows = _rows(chosen, asked)
    text = markdown(rows, asked.factor)
    print(text)
    if asked.write:
        asked.write.write_text(text, encoding="utf-8")
    return 1 if not rows or any(row.problems for row in rows) else 0


def _rows(chosen: Sequence[Fault], asked: argparse.Namespace) -> list[Row]:
    """Try the faults and tell of each; return the rows in the order of the faults."""
    rows: dict[str, Row] = {}
    began = time.monotonic()
    for row in Crew(asked.factor, asked.minutes).work(chosen, asked.side_by_side):
        rows[row.fault] = row
        minutes = (time.monotonic() - began) / 60
        print(f"{minutes:5.1f} min, {len(rows)} of {len(chosen)}: {sentence(row)}", flush=True)
    return [rows[fault.name] for fault in chosen]


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.pages", description=__doc__)
    parser.add_argument("--only", default="*", metavar="PATTERNS", help="as 'redis-*,flood'; default all")
    parser.add_argument("--factor", type=float, default=FACTOR, help=f"default {FACTOR:g}")
    parser.add_argument(
        "--side-by-side",
        type=int,
        default=SIDE_BY_SIDE,
        metavar="N",
        help=f"scenes at once; default {SIDE_BY_SIDE}",
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"for all; default {MINUTES:g}")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the table here")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
