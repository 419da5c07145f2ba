"""The table in ops/pages.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from ops.pages.verdict import WITHIN_SECONDS, Row

HEAD = ("fault", "alert", "severity", "fires after (s)", "clears after (s)", "tiles not green", "verdict")
PREFACE = """# Faults and their pages

Each fault is put into an installation of real servers: Redis, RabbitMQ, a provider, two workers under a steady load.
Prometheus has the shipped rules, Alertmanager the shipped routes, and a local receiver stands for the pager. Rules,
scrapes and routes are faster by the factor {factor:g}, and the load is larger by it; times are scaled back. A fault
is good if its alert alone pages, within {critical:.0f} s if it is critical and {warning:.0f} s if it is a warning, and
if some tile of the dashboard's first row is not green. `make pages` wrote this table: {when}, {machine}.
"""


def markdown(rows: Sequence[Row], factor: float) -> str:
    """Return the page."""
    facts = {
        "factor": factor,
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
    }
    lines = [_line(HEAD), _line(["---", "---", "---", "---:", "---:", "---", "---"]), *map(_row, rows)]
    return PREFACE.format(**facts, **WITHIN_SECONDS) + "\n" + "\n".join(lines) + "\n" + _summary(rows)


def sentence(row: Row) -> str:
    """Return a line of progress."""
    return f"{'BAD ' if row.problems else 'ok  '}{_row(row)}"


def _row(row: Row) -> str:
    verdict = "; ".join(row.problems) or "good"
    times = [_seconds(row.fire_seconds), _seconds(row.clear_seconds)]
    return _line(
        [row.told, ", ".join(row.paged) or "none", row.severity, *times, ", ".join(row.tiles), verdict]
    )


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f}"


def _summary(rows: Sequence[Row]) -> str:
    bad = sum(bool(row.problems) for row in rows)
    return f"\n{len(rows) - bad} of {len(rows)} are good.\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
