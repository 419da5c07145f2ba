"""The table of a run."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median

from tests.faults.oracle import Verdict

DETAILS_MOST = 20


@dataclass
class Row:
    """One cell on one broker. `missed` trials are those whose fault did not come about; they are not among `trials`."""

    broker: str
    cell: str
    trials: int = 0
    missed: int = 0
    fruitless: int = 0
    deaths: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    drains: list[float] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        """True where a promise was broken, or the fault never came about so that nothing was shown."""
        return self.verdict.violations > 0 or self.trials == 0

    def take(self, verdict: Verdict, drains: Sequence[float], deaths: int) -> None:
        self.verdict.add(verdict)
        self.drains += drains
        self.deaths += deaths


HEAD = (
    "broker", "fault", "trials", "accepted", "lost", "conflicting", "uncalled for", "over limit",
    "drained s (median)", "(max)", "died unasked", "fault not met",
)  # fmt: skip


def cells_of(row: Row) -> list[str]:
    seconds = [f"{median(row.drains):.1f}", f"{max(row.drains):.1f}"] if row.drains else ["never", "never"]
    verdict = row.verdict
    counts = (
        row.trials,
        verdict.accepted,
        verdict.lost,
        verdict.conflicting,
        verdict.uncalled,
        verdict.over_limit,
    )
    return [row.broker, row.cell, *map(str, counts), *seconds, str(row.deaths), str(row.missed)]


def sentence(row: Row) -> str:
    """One line of progress, and what stands behind a violation."""
    values = ", ".join(f"{name} {value}" for name, value in zip(HEAD[2:], cells_of(row)[2:], strict=True))
    shown = "".join(f"\n    {detail}" for detail in row.verdict.details[:DETAILS_MOST])
    return f"{'BAD ' if row.bad else 'ok  '}{row.broker} {row.cell}: {values}{shown}"


def markdown(rows: Sequence[Row], title: str = "Faults") -> str:
    """The table as kept in ops/, with date and machine."""
    lines = [_line(HEAD), _line(["---"] * 2 + ["---:"] * (len(HEAD) - 2))]
    lines += [_line(cells_of(row)) for row in sorted(rows, key=lambda row: row.broker, reverse=True)]
    bad = [detail for row in rows for detail in row.verdict.details]
    return (
        f"# {title}\n\n{_preface(rows)}\n\n"
        + "\n".join(lines)
        + "\n"
        + "".join(f"\n- {detail}" for detail in bad[:DETAILS_MOST])
    )


def _preface(rows: Sequence[Row]) -> str:
    machine = f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs"
    python = platform.python_version()
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    trials = sum(row.trials for row in rows)
    return (
        f"{trials} trials, {when}, {machine}, Python {python}. Failpoints are put in some at a time, each in a "
        "worker of its own: what such a run came to stands in each row."
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
