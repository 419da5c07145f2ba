"""Makes the table of all contenders: runs every case in every round, one contender after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ops.bench import environments
from ops.bench.contenders import BARE_CELERY, CONTENDERS, Contender
from ops.bench.servers import Servers, servers
from ops.bench.table import Row, markdown, rows
from ops.bench.trial import Case, Sample, run

NOTE = (
    "callworker has no bare job: validation, the limiter and the record cannot be switched off, so its line is always\n"
    "the full job, held against the peers' bare ones too. Ratios are of jobs/s; medians of the rounds."
)


@dataclass(frozen=True)
class Plan:
    """What to compare. `only` are patterns of contenders' names."""

    rounds: int
    cases: Sequence[Case]
    broker: str
    only: Sequence[str]

    def contenders(self) -> list[Contender]:
        """Return the contenders that match and run on the broker."""
        return [
            each
            for each in CONTENDERS
            if (each.amqp or self.broker != "amqp") and any(fnmatchcase(each.name, one) for one in self.only)
        ]


def compare(plan: Plan) -> list[Row]:
    """Measure, with a line on standard error for each trial. Return the table's rows."""
    chosen = plan.contenders()
    environments.prepare(each.environment for each in chosen if each.environment)
    latencies_ms = sorted({case.latency_ms for case in plan.cases})
    with servers(plan.broker, latencies_ms) as running:
        taken = _samples(plan, chosen, running)
    bare = [each.name for each in chosen if each.kind == "bare"]
    return [row for case in plan.cases for row in rows(case, taken[case], bare, BARE_CELERY)]


def _samples(
    plan: Plan, chosen: Sequence[Contender], running: Servers
) -> dict[Case, dict[str, list[Sample]]]:
    """Run rounds of one trial of everything; each begins with another contender, so that none is always the first."""
    taken: dict[Case, dict[str, list[Sample]]] = {case: {c.name: [] for c in chosen} for case in plan.cases}
    for number in range(plan.rounds):
        turn = number % len(chosen)
        for case in plan.cases:
            for contender in [*chosen[turn:], *chosen[:turn]]:
                sample = run(contender, case, running)
                taken[case][contender.name].append(sample)
                _tell(number, case, contender, sample)
    return taken


def _tell(number: int, case: Case, contender: Contender, sample: Sample) -> None:
    where = f"round {number + 1}, {case.latency_ms} ms, {case.processes} worker(s)"
    figures = f"{sample.jobs_per_second:.0f} jobs/s, {sample.cpu_ms_per_job:.2f} ms"
    print(f"{where}: {contender.name} {figures}", file=sys.stderr, flush=True)


def report(plan: Plan) -> tuple[str, dict[str, Any]]:
    """Return the text to print, and the data of the report."""
    table = compare(plan)
    peers = {each.environment for each in plan.contenders() if each.environment}
    versions = {peer: environments.versions(peer) for peer in sorted(peers)}
    return f"{markdown(table)}\n\n{NOTE}", {"rows": table, "versions": versions}
