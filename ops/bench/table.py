"""Makes the table from the samples: medians, and ratios to the contenders that each is compared with."""

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
    """One contender in one case. The ratios are of jobs per second, None without a contender to compare with."""

    case: Case
    name: str
    samples: Sequence[Sample]
    median: Sample
    to_celery_bare: float | None
    to_fastest_peer_bare: float | None


def middle(samples: Sequence[Sample]) -> Sample:
    """Return the median of each figure separately."""
    return Sample(*(median(getattr(sample, field.name) for sample in samples) for field in fields(Sample)))


def rows(case: Case, samples: Mapping[str, Sequence[Sample]], bare: Sequence[str], celery: str) -> list[Row]:
    """Return a row for each contender of `samples`; `bare` names the peers' bare jobs, `celery` stock Celery's."""
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
    """Return the table, for a terminal as well as for a page."""
    return aligned([COLUMNS, *(_cells(row) for row in table)])


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """Return lines of cells, with the head first, as a Markdown table with even columns."""
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
