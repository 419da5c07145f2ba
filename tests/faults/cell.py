"""A fault as the harness sees it: how it is put in, and what it leaves alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.faults.load import ENDINGS
from tests.faults.run import Run

JOBS, FEW_JOBS = 30, 12
"""Jobs that come in as a fault comes about: if that is once, and if it is hundreds of times."""

SENDING_SECONDS = 0.4


@dataclass(frozen=True)
class Cell:
    """One fault, or several that are put in together to save time: most of a trial is waiting.

    `trial` puts in each of `names` a given number of times in a run and counts those that came about; `standing`
    workers work meanwhile.
    """

    names: Sequence[str]
    trial: Callable[[Run, int], Counter[str]]
    standing: int = 2
    proxied: bool = False
    apart: bool = False
    unharmed: bool = False
    """True if the fault does not touch workers and their line to the provider: none ends, and no answer is lost."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of the workers that are added to the harness' own."""
    endings: Sequence[str] = ENDINGS
    trials_per_drain: int = 10
    drains: int = 2
    """The number of drains in one run."""


def alone(name: str, fault: Callable[[Run], None], **options: Any) -> Cell:
    """Make a cell of one fault that always comes about."""

    def trial(run: Run, count: int) -> Counter[str]:
        for _ in range(count):
            fault(run)
        return Counter({name: count})

    return Cell([name], trial, **options)


def meanwhile(fault: Callable[[Run], None], run: Run, *, jobs: int = JOBS) -> None:
    """Do `fault` while jobs are being sent."""
    with ThreadPoolExecutor(1) as producer:
        sending = producer.submit(run.send, jobs, SENDING_SECONDS / jobs)
        run.pause(0, 0.5)
        fault(run)
        run.repair()
        sending.result()
