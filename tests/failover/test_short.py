"""The short form of the failover harness: primaries are killed and cut off while jobs come in, once each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.failover.bench import FailoverBench
from tests.failover.cells import cells
from tests.failover.network import allowed
from tests.faults.oracle import Verdict

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not allowed(), reason="needs root, to make network namespaces"),
]


def _tried(kind: str, faults: Sequence[str]) -> tuple[Verdict, list[float]]:
    """Put in faults one after the other under one fleet. Returns the verdict, and how long the drain took."""
    with FailoverBench(kind) as bench, bench.run() as run:
        chosen = cells(kind, [f"{kind}.{fault}" for fault in faults].__contains__)
        assert len(chosen) == len(faults)
        run.fleet.stand(chosen[0].standing)
        for cell in chosen:
            cell.trial(run, 1)
        run.drain()
        return run.judge(), run.drains


def test_a_failover_by_sentinels_loses_nothing() -> None:
    """A primary is killed whose replicas are behind, and the next one is cut off with the worker beside it."""
    verdict, drains = _tried("sentinel", ["behind", "split"])
    # The windows of the limits are judged by the long run, on a machine with nothing else to do.
    broken = verdict.lost, verdict.conflicting, verdict.uncalled
    assert verdict.accepted > 0 and broken == (0, 0, 0) and drains, verdict.details


def test_a_failover_in_a_cluster_loses_nothing() -> None:
    """The same on a cluster, whose shards are moved to another server, too."""
    verdict, drains = _tried("cluster", ["reshard", "behind"])
    broken = verdict.lost, verdict.conflicting, verdict.uncalled
    assert verdict.accepted > 0 and broken == (0, 0, 0) and drains, verdict.details
