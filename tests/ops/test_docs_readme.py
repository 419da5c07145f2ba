"""The README is an overview, and repeats figures only as the performance page has them."""

from __future__ import annotations

import re

import pytest

from tests.ops.examples import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PERFORMANCE = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
MAX_LINES = 150
ROWS = {
    "Celery: take a job": "celery bare",
    "Celery: also": "celery full",
    "callworker: always": "callworker",
}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_readme_is_short() -> None:
    """Everything that takes longer to say is on a page of its own."""
    assert len(README.splitlines()) <= MAX_LINES


@pytest.mark.parametrize("begins", ROWS)
def test_costs_are_those_that_the_bench_printed(begins: str) -> None:
    """One worker, on Redis, where the provider answers at once: the first such row of the performance page."""
    (shown,) = [cells(line)[1:] for line in README.splitlines() if line.startswith(f"| {begins}")]
    printed = [cells(line) for line in PERFORMANCE.splitlines() if line.startswith("| 0 ms ")]
    assert shown == next(row[3:7] for row in printed if row[1:3] == ["1", ROWS[begins]])


def test_rates_on_rabbitmq_are_those_that_the_bench_printed() -> None:
    """The three rates of the sentence, in the order of the performance page's second table."""
    shown = re.search(r"(\d+), (\d+) and (\d+) jobs/s", README)
    second = PERFORMANCE.partition("on RabbitMQ\n")[2]
    printed = [cells(line) for line in second.splitlines() if line.startswith("| 0 ms ")]
    assert shown is not None
    assert list(shown.groups()) == [row[3] for row in printed if row[1] == "1"]
