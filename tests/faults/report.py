"""The table of a run."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.faults.oracle import Verdict

MAX_DETAILS = 20


@dataclass
class Row:
    """One cell on one broker: `asked` trials were requested, and `trials` done. `missed` are those whose fault did not
    come about; they do not count as trials."""

    broker: str
    cell: str
    asked: int = 1
    trials: int = 0
    missed: int = 0
    deaths: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    drains: list[float] = field(default_factory=list)

    @property
    def short(self) -> bool:
        """True if the fault has not come about as often as requested."""
        return self.trials < self.asked

    @property
    def bad(self) -> bool:
        """True if a promise was broken, or if trials are missing."""
        return self.verdict.violations > 0 or self.short

    def take(self, verdict: Verdict, drains: Sequence[float], deaths: int) -> None:
        self.verdict.add(verdict)
        self.drains += drains
        self.deaths += deaths

    def add(self, other: Row) -> None:
        """Add further trials of the same cell."""
        self.trials += other.trials
        self.missed += other.missed
        self.take(other.verdict, other.drains, other.deaths)


class Table:
    """The rows. If a file is given, it is written after each unit, so that an interrupted run leaves its results."""

    def __init__(self, rows: Sequence[Row], file: Path | None, installations: int) -> None:
        self._rows, self._file, self._installations = rows, file, installations
        self._since = time.monotonic()
        self.troubles = 0

    def keep(self, news: Sequence[Row]) -> None:
        """Print the new results and the progress, and write the file."""
        done, asked = (
            sum(min(row.trials, row.asked) for row in self._rows),
            sum(row.asked for row in self._rows),
        )
        print(f"{time.monotonic() - self._since:6.0f} s, {done} of {asked}", flush=True)
        print(*map(sentence, news), sep="\n", flush=True)
        if self._file is not None:
            self._file.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        minutes = (time.monotonic() - self._since) / 60
        how = f"In {minutes:.0f} minutes, on {self._installations} installations side by side"
        trouble = f", {self.troubles} of which failed and were replaced" if self.troubles else ""
        short = sum(row.short for row in self._rows)
        missing = f" **{short} cells have fewer trials than asked for.**" if short else ""
        return markdown(self._rows, remark=f" {how}{trouble}.{missing}")


HEAD = (
    "broker", "fault", "trials", "accepted", "lost", "dead letters", "conflicting", "uncalled for", "over limit",
    "not kept", "stopped", "drained s (median)", "(max)", "died unasked", "fault not met",
)  # fmt: skip


def cells_of(row: Row) -> list[str]:
    seconds = [f"{median(row.drains):.1f}", f"{max(row.drains):.1f}"] if row.drains else ["never", "never"]
    verdict = row.verdict
    counts = (
        row.trials,
        verdict.accepted,
        verdict.lost,
        verdict.buried,
        verdict.conflicting,
        verdict.uncalled,
        verdict.over_limit,
        verdict.not_kept,
        verdict.stopped,
    )
    return [row.broker, row.cell, *map(str, counts), *seconds, str(row.deaths), str(row.missed)]


def sentence(row: Row) -> str:
    """Return a line of progress, and the details of violations."""
    values = ", ".join(f"{name} {value}" for name, value in zip(HEAD[2:], cells_of(row)[2:], strict=True))
    shown = "".join(f"\n    {detail}" for detail in row.verdict.details[:MAX_DETAILS])
    return f"{'BAD ' if row.bad else 'ok  '}{row.broker} {row.cell}: {values}{shown}"


def markdown(rows: Sequence[Row], title: str = "Faults", remark: str = "") -> str:
    """Return the table as kept in ops/, with date and machine, and a remark on the run."""
    lines = [_line(HEAD), _line(["---"] * 2 + ["---:"] * (len(HEAD) - 2))]
    lines += [_line(cells_of(row)) for row in sorted(rows, key=lambda row: row.broker, reverse=True)]
    bad = [detail for row in rows for detail in row.verdict.details]
    return (
        f"# {title}\n\n{_preface(rows)}{remark}\n\n"
        + "\n".join(lines)
        + "\n"
        + "".join(f"\n- {detail}" for detail in bad[:MAX_DETAILS])
    )


def _preface(rows: Sequence[Row]) -> str:
    machine = f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs"
    python = platform.python_version()
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    trials = sum(row.trials for row in rows)
    return (
        f"{trials} trials, {when}, {machine}, Python {python}. Each run sets many failpoints at a time; "
        "a failpoint that kills or freezes has a worker of its own. The result of a run is shown in the row of "
        "each of its faults."
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
