"""The short form of the failover harness: primaries are killed and cut off, and shards moved, while jobs come in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.failover.bench import FailoverBench
from tests.failover.cells import cells
from tests.failover.network import allowed
from tests.faults.oracle import Verdict

FAULTS = {"sentinel": ["behind", "split"], "cluster": ["reshard", "behind"]}
"""A primary is killed whose replicas are behind, and cut off and then followed again; shards are moved."""

Runs = Mapping[str, "Future[tuple[Verdict, list[float]]]"]

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not allowed(), reason="needs root, to make network namespaces"),
]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """Start the runs of both kinds at the same time, because they mostly wait."""
    with ThreadPoolExecutor(len(FAULTS)) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.failover.cells.TURNED_SHARE", 1.0)
        yield {kind: pool.submit(_tried, kind) for kind in FAULTS}


def _tried(kind: str) -> tuple[Verdict, list[float]]:
    """Put in faults one after the other under one fleet. Returns the verdict, and how long the drain took."""
    with FailoverBench(kind) as bench, bench.run() as run:
        chosen = cells(kind, [f"{kind}.{fault}" for fault in FAULTS[kind]].__contains__)
        assert len(chosen) == len(FAULTS[kind])
        run.fleet.stand(max(cell.standing for cell in chosen))
        for cell in chosen:
            cell.trial(run, 1)
        run.drain()
        return run.judge(), run.drains


@pytest.mark.parametrize("kind", FAULTS)
def test_a_failover_loses_nothing(runs: Runs, kind: str) -> None:
    """The windows of the limits are judged by the long run, on a machine with nothing else to do."""
    verdict, drains = runs[kind].result()
    broken = verdict.lost, verdict.conflicting, verdict.uncalled
    assert verdict.accepted > 0 and broken == (0, 0, 0) and drains, verdict.details
