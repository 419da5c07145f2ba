"""From samples to the one table: medians, and how each contender stands to those that it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median

from ops.bench.trial import Case, Sample

COLUMNS = (
    "latency", "workers", "job", "jobs/s", "CPU ms/job", "peak MB", "Redis ms/job", "to Celery bare", "to fastest bare",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One contender in one case. The ratios are of jobs per second, None where there is nothing to hold it against."""

    case: Case
    name: str
    samples: Sequence[Sample]
    median: Sample
    to_celery_bare: float | None
    to_fastest_peer_bare: float | None


def middle(samples: Sequence[Sample]) -> Sample:
    """The median of each figure by itself."""
    return Sample(*(median(getattr(sample, field.name) for sample in samples) for field in fields(Sample)))


def rows(case: Case, samples: Mapping[str, Sequence[Sample]], bare: Sequence[str], celery: str) -> list[Row]:
    """A row for each contender of `samples`; `bare` names the peers' bare jobs, `celery` stock Celery's."""
    medians = {name: middle(some) for name, some in samples.items()}
    rates = {name: medians[name].jobs_per_second for name in bare if name in medians}
    fastest = max(rates.values(), default=None)
    return [
        Row(case, name, samples[name], one, _ratio(one, rates.get(celery)), _ratio(one, fastest))
        for name, one in medians.items()
    ]


def _ratio(sample: Sample, base: float | None) -> float | None:
    return sample.jobs_per_second / base if base else None


def markdown(table: Sequence[Row]) -> str:
    """The table for a terminal and for a page alike."""
    return aligned([COLUMNS, *(_cells(row) for row in table)])


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """Lines of cells, the first of which is the head, as a Markdown table with even columns."""
    widths = [max(len(line[n]) for line in cells) for n in range(len(cells[0]))]
    ruler = tuple("-" * width for width in widths)
    return "\n".join(_line(line, widths) for line in (cells[0], ruler, *cells[1:]))


def _cells(row: Row) -> tuple[str, ...]:
    figures = row.median
    return (
        f"{row.case.latency_ms} ms",
        str(row.case.processes),
        row.name,
        f"{figures.jobs_per_second:,.0f}",
        f"{figures.cpu_ms_per_job:.2f}",
        f"{figures.peak_mb:,.0f}",
        f"{figures.redis_cpu_ms_per_job:.2f}",
        _times(row.to_celery_bare),
        _times(row.to_fastest_peer_bare),
    )


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
