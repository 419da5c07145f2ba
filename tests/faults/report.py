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
    pauses: list[float] = field(default_factory=list)
    """For how long nothing was dialled at worst in each trial, in seconds, where that is measured."""

    @property
    def short(self) -> bool:
        """True if the fault has not come about as often as requested."""
        return self.trials < self.asked

    @property
    def bad(self) -> bool:
        """True if a promise was broken, or if trials are missing."""
        return self.verdict.violations > 0 or self.short

    def take(
        self, verdict: Verdict, drains: Sequence[float], deaths: int, pauses: Sequence[float] = ()
    ) -> None:
        self.verdict.add(verdict)
        self.drains += drains
        self.pauses += pauses
        self.deaths += deaths

    def add(self, other: Row) -> None:
        """Add further trials of the same cell."""
        self.trials += other.trials
        self.missed += other.missed
        self.take(other.verdict, other.drains, other.deaths, other.pauses)


class Table:
    """The rows. If a file is given, it is written after each unit, so that an interrupted run leaves its results."""

    def __init__(
        self,
        rows: Sequence[Row],
        file: Path | None,
        installations: int,
        title: str,
        told: str,
        kind: str = "broker",
    ) -> None:
        """`told` is what the page says of the trials beside their number, and `kind` what tells installations apart."""
        self._kind = kind
        self._rows, self._file, self._installations = rows, file, installations
        self._title, self._told = title, told
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
        return markdown(self._rows, self._title, f" {self._told} {how}{trouble}.{missing}", self._kind)


COLUMNS = (
    "fault", "trials", "accepted", "lost", "dead letters", "conflicting", "uncalled for", "over limit",
    "not kept", "stopped", "drained s (median)", "(max)", "pause s (median)", "(max)", "died unasked", "fault not met",
)  # fmt: skip


def cells_of(row: Row) -> list[str]:
    drains, pauses = _median_and_most(row.drains, "never"), _median_and_most(row.pauses, "")
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
    return [row.broker, row.cell, *map(str, counts), *drains, *pauses, str(row.deaths), str(row.missed)]


def _median_and_most(seconds: Sequence[float], none: str) -> list[str]:
    return [f"{median(seconds):.1f}", f"{max(seconds):.1f}"] if seconds else [none, none]


def sentence(row: Row) -> str:
    """Return a line of progress, and the details of violations."""
    values = ", ".join(f"{name} {value}" for name, value in zip(COLUMNS[1:], cells_of(row)[2:], strict=True))
    shown = "".join(f"\n    {detail}" for detail in row.verdict.details[:MAX_DETAILS])
    return f"{'BAD ' if row.bad else 'ok  '}{row.broker} {row.cell}: {values}{shown}"


def markdown(rows: Sequence[Row], title: str, remark: str = "", kind: str = "broker") -> str:
    """Return the table as kept in ops/, with date and machine, and a remark on the run. Its first column is `kind`."""
    lines = [_line([kind, *COLUMNS]), _line(["---"] * 2 + ["---:"] * (len(COLUMNS) - 1))]
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
    return f"{trials} trials, {when}, {machine}, Python {python}."


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
