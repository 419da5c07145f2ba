"""The table in ops/rollout.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

from ops.rollout.judging import WINDOW_SECONDS, Row
from ops.rollout.scene import LIMITED, PROMPT, RATES, WAITING

HEAD = (
    "broker", "phase", "jobs", "lost", "rung twice", "not placed", "events differ", "events twice", "over the limit",
    "p50 (s)", "p99 (s)", "longest pause (s)", "stops", "stop (s), median", "longest", "remark",
)  # fmt: skip
PREFACE = """# Rollouts

Two workers under a steady load are restarted, upgraded from {old} to {new}, rolled back, and given other accounts, on
each broker. Everything is counted from outside: calls at the provider, events on the results queue and at a webhook.
All phases have jobs that wait in the lane of an account that is at its limit. Jobs come from Celery, with a trace
context, as plain JSON, and from the producer of {new}. Its workers trace (`TRACING=links`), and a collector listens.

- *lost*: jobs without an event, or without their webhook.
- *rung twice*: calls beyond one for each job. No call is made to fail here, so each job has one call.
- *not placed*: jobs that ended otherwise. *events differ*: jobs whose events are not the same bytes.
- *events twice*: repeats of an event, which are allowed.
- *over the limit*: windows of {window:g} s in which the provider got more than rate + burst requests of the account
  `{limited}`, which has a rate per second, and {waiting} jobs waiting at any time. The rest of the second is for delays
  between worker and provider on a busy machine.
- *p50*, *p99*: from a job's send to its event, and *longest pause*: between two calls, both of accounts that no limit
  holds back ({prompt}: {rate:g} jobs a second).
- *stop*: from SIGTERM to the end of the process; one account's calls take 2 s.

`make rollout` wrote this table: {when}, {machine}, Python {python}.
"""


def markdown(rows: Sequence[Row], old: str, new: str) -> str:
    """Return the page."""
    facts = {
        "old": old,
        "new": new,
        "limited": LIMITED,
        "waiting": WAITING[LIMITED],
        "window": WINDOW_SECONDS,
        "prompt": ", ".join(f"`{name}`" for name in PROMPT),
        "rate": sum(RATES[name] for name in PROMPT),
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
    }
    lines = [_line(HEAD), _line(["---", "---", *["---:"] * (len(HEAD) - 3), "---"])]
    lines += [_line(cells(row)) for row in rows]
    details = "".join(f"\n- {row.broker}, {row.phase}: {each}" for row in rows for each in row.details)
    return PREFACE.format(**facts) + "\n" + "\n".join(lines) + f"\n\n{_summary(rows)}\n{details}"


def cells(row: Row) -> list[str]:
    """Return a row's cells in the order of the head."""
    counts = (
        row.jobs,
        row.lost,
        row.rung_twice,
        row.not_placed,
        row.conflicting,
        row.repeated,
        row.over_limit,
    )
    times = (row.p50, row.p99, row.pause)
    stops = [f"{median(row.stops):.1f}", f"{max(row.stops):.1f}"] if row.stops else ["", ""]
    return [
        row.broker,
        row.phase,
        *map(str, counts),
        *(f"{seconds:.2f}" for seconds in times),
        str(len(row.stops)),
        *stops,
        row.remark,
    ]


def sentence(row: Row) -> str:
    """Return a line of progress."""
    return f"{'BAD ' if row.bad else 'ok  '}{_line(cells(row))}"


def _summary(rows: Sequence[Row]) -> str:
    bad = sum(row.bad for row in rows)
    jobs, stops = sum(row.jobs for row in rows), sum(len(row.stops) for row in rows)
    verdict = f"{bad} of {len(rows)} phases broke a promise" if bad else "no promise was broken"
    return f"In all {jobs:,} jobs and {stops} stops of workers: {verdict}."


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
