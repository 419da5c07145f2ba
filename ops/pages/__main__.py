"""`python -m ops.pages`: puts every fault in, and writes which pages it caused."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

from ops.pages import calls, jobs, servers, trial
from ops.pages.fault import FACTOR, Fault
from ops.pages.table import markdown, sentence
from ops.pages.verdict import Row

FAULTS: tuple[Fault, ...] = (*servers.FAULTS, *calls.FAULTS, *jobs.FAULTS)
SIDE_BY_SIDE = 2
ONE_WITHIN_SECONDS = 600.0
"""For a scene, from its start to its end; some faults take half of it."""

LEAVES_WITHIN_SECONDS = 90.0


def main() -> int:
    """Run the faults asked for, print progress, write the table; 1 if a fault has a problem or none was asked for."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, _end)
    chosen = [one for one in FAULTS if any(fnmatchcase(one.name, each) for each in asked.only.split(","))]
    if asked.one:
        print(json.dumps(asdict(trial.run(chosen[0], asked.factor))))
        return 0
    rows = _run(chosen, asked.factor, asked.side_by_side)
    text = markdown(rows, asked.factor)
    print(text)
    if asked.write:
        asked.write.write_text(text, encoding="utf-8")
    return 1 if not rows or any(row.problems for row in rows) else 0


def _run(chosen: Sequence[Fault], factor: float, side_by_side: int) -> list[Row]:
    """Run each fault in a process of its own, and return the rows in the order of the faults."""
    rows: dict[str, Row] = {}
    began, lanes, crew = time.monotonic(), ThreadPoolExecutor(side_by_side), Crew(factor)
    try:
        for done in as_completed([lanes.submit(crew.run, fault) for fault in chosen]):
            row = done.result()
            rows[row.fault] = row
            minutes = (time.monotonic() - began) / 60
            print(f"{minutes:5.1f} min, {len(rows)} of {len(chosen)}: {sentence(row)}", flush=True)
    finally:
        lanes.shutdown(wait=False, cancel_futures=True)
        crew.leave()
    return [rows[fault.name] for fault in chosen]


class Crew:
    """The processes that each try one fault at a time."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._running: set[subprocess.Popen[str]] = set()

    def run(self, fault: Fault) -> Row:
        """Try a fault. Trouble of the harness is a problem in the row."""
        command = [sys.executable, "-m", "ops.pages", "--one", "--only", fault.name]
        process = subprocess.Popen(
            [*command, "--factor", str(self._factor)], stdout=subprocess.PIPE, text=True
        )
        self._running.add(process)
        try:
            return Row(**json.loads(process.communicate(timeout=ONE_WITHIN_SECONDS)[0]))
        except subprocess.TimeoutExpired:
            problem = "trouble: it took too long"
        except ValueError:
            problem = f"trouble: exit status {process.returncode}"
        finally:
            self._dismiss(process)
        return Row(fault.name, fault.told, fault.alert, problems=[problem])

    def leave(self) -> None:
        """End all processes, and with them their servers."""
        for process in list(self._running):
            self._dismiss(process)

    def _dismiss(self, process: subprocess.Popen[str]) -> None:
        self._running.discard(process)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(LEAVES_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.pages", description=__doc__)
    parser.add_argument("--only", default="*", metavar="PATTERNS", help="as 'redis-*,flood'; default all")
    parser.add_argument("--factor", type=float, default=FACTOR, help=f"default {FACTOR:g}")
    parser.add_argument(
        "--side-by-side", type=int, default=SIDE_BY_SIDE, metavar="N", help="scenes at once; default 2"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the table here")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
