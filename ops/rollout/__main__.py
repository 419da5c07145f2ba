"""`python -m ops.rollout`: restarts, upgrade and rollback under load, with a row for each broker and phase."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

from ops.rollout import releases, trial
from ops.rollout.judging import Row
from ops.rollout.phases import STEPS, Step
from ops.rollout.table import markdown, sentence
from tests.faults.servers import PROJECT, ServerTrouble

BROKERS = ("redis", "amqp")
WITHIN_SECONDS = 900.0


def main() -> int:
    """Run the phases asked for on both brokers, side by side; 1 if a promise was broken or a run had trouble."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, _end)
    try:
        wanted = asked.old or _default()
        old = releases.prepare(wanted)
    except releases.NoRelease as error:
        print(error, file=sys.stderr)
        return 1
    if asked.one:
        steps = [step for step in STEPS if step.name in asked.names]
        return _one(asked.broker, steps, old)
    rows, whole = _side_by_side([asked.broker] if asked.broker else BROKERS, sys.argv[1:])
    text = markdown(rows, wanted, releases.TODAY.name)
    print(text)
    if not whole:
        print("the run has not ended well: see above", file=sys.stderr)
        return 1
    if asked.write and not asked.broker and len(asked.names) == len(STEPS):
        asked.write.write_text(text, encoding="utf-8")
    return 1 if any(row.bad for row in rows) else 0


def _one(broker: str, steps: Sequence[Step], old: releases.Version) -> int:
    """Try one broker, and print the rows as JSON."""
    try:
        print(json.dumps([asdict(row) for row in trial.run(broker, steps, old)]))
    except (ServerTrouble, OSError) as error:
        print(f"{broker}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _side_by_side(brokers: Sequence[str], words: Sequence[str]) -> tuple[list[Row], bool]:
    """Run each broker in a process with servers of its own. Returns the rows, and whether all of them ended well."""
    command = [sys.executable, "-m", "ops.rollout", *words, "--one", "--broker"]
    started = [
        subprocess.Popen([*command, broker], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
        for broker in brokers
    ]
    try:
        printed = [process.communicate(timeout=WITHIN_SECONDS)[0] for process in started]
    finally:
        for process in started:
            process.terminate()
    whole = all(process.wait() == 0 for process in started)
    rows = [Row(**row) for text in printed if text for row in json.loads(text)]
    print(*map(sentence, rows), sep="\n", file=sys.stderr)
    return rows, whole


def _default() -> str:
    return releases.last_release((PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), releases.TODAY.name)


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    names = [step.name for step in STEPS]
    parser = argparse.ArgumentParser(prog="python -m ops.rollout", description=__doc__)
    parser.add_argument("--only", default="*", metavar="PATTERNS", help=f"of {', '.join(names)}; default all")
    parser.add_argument("--broker", choices=BROKERS, help="default both")
    parser.add_argument("--old", metavar="TAG", help="the version to begin with; default the last release")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="keep the table of a run of all phases on both brokers here",
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.names = {name for name in names if any(fnmatchcase(name, each) for each in asked.only.split(","))}
    if not asked.names:
        parser.error(f"no phase is named {asked.only}; there are {', '.join(names)}")
    return asked


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
