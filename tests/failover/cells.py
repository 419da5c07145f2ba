"""What is done to the servers of the state while jobs come in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import cast

from tests.failover.bench import FailoverBench
from tests.failover.cluster import ClusterState
from tests.failover.instance import Instance
from tests.faults.cell import Cell, alone
from tests.faults.run import Run
from tests.faults.servers import wait_for

JOBS_PER_SECOND = 30.0
LEAD_SECONDS = 1.0
"""How long jobs come in before the fault and after it."""

BEHIND_SECONDS, SPLIT_SECONDS, BACK_SECONDS = 0.5, 14.0, 5.0
PROMOTED_SECONDS = 30.0
SHARDS_MOVED = 3


def cells(kind: str, wanted: Callable[[str], bool] = lambda _: True) -> list[Cell]:
    """Return the `wanted` faults of an installation of this kind."""
    faults: dict[str, Callable[[FailoverBench], None]] = {
        "kill": _kill,
        "behind": _kill_ahead_of_its_replicas,
        "split": _split,
        "restore": _restore,
    }
    if kind == "cluster":
        faults["reshard"] = _reshard
    return [_cell(f"{kind}.{name}", fault) for name, fault in faults.items() if wanted(f"{kind}.{name}")]


def _cell(name: str, fault: Callable[[FailoverBench], None]) -> Cell:
    def trial(run: Run) -> None:
        _under_load(run, lambda: fault(cast(FailoverBench, run.bench)))

    # One worker on each machine, so that one is on each side of a split.
    return alone(name, trial, standing=3, trials_per_drain=1, drains=10)


def _under_load(run: Run, fault: Callable[[], None]) -> None:
    """Let jobs come in before, during and after a fault, and note for how long nothing was dialled meanwhile."""
    over, began = [False], time.time()

    def send() -> None:
        while not over[0]:
            run.send(1, 1 / JOBS_PER_SECOND)

    with ThreadPoolExecutor(1) as producer:
        sending = producer.submit(send)
        try:
            run.pause(LEAD_SECONDS, LEAD_SECONDS)
            fault()
            run.repair()
            run.pause(LEAD_SECONDS, LEAD_SECONDS)
        finally:
            over[0] = True
        sending.result()
    moments = [began, *sorted(unix for unix, _ in run.heard.requests if unix > began), time.time()]
    run.pauses.append(max(after - before for before, after in pairwise(moments)))


def _kill(bench: FailoverBench) -> None:
    """Kill a primary, and start it again once another server has its place."""
    _replace(bench, bench.servers.victim())


def _kill_ahead_of_its_replicas(bench: FailoverBench) -> None:
    """The same, while its replicas do not have what it did in its last half second."""
    primary = bench.servers.victim()
    replicas = bench.servers.replicas_of(primary)
    for replica in replicas:
        replica.freeze()
    time.sleep(BEHIND_SECONDS)
    _replace(bench, primary, replicas)


def _replace(bench: FailoverBench, primary: Instance, frozen: Sequence[Instance] = ()) -> None:
    primary.kill()
    for replica in frozen:
        replica.thaw()
    wait_for(lambda: bench.servers.is_replaced(primary), "another server is the primary", PROMOTED_SECONDS)
    primary.start()
    bench.servers.settle()


def _split(bench: FailoverBench) -> None:
    """Cut the machine of a primary off from the others. The worker on it goes on to reach broker and provider."""
    bench.network.part(bench.servers.victim().machine)
    time.sleep(SPLIT_SECONDS)
    bench.network.join()
    bench.servers.settle()


def _restore(bench: FailoverBench) -> None:
    """Set the whole state back, to a copy of a while ago, as an operator who restores a backup would."""
    backup = bench.folder / "backup"
    shutil.rmtree(backup, ignore_errors=True)
    bench.servers.back_up(backup)
    time.sleep(BACK_SECONDS)
    bench.servers.restore(backup)
    bench.servers.settle()


def _reshard(bench: FailoverBench) -> None:
    """Move shards from one primary to another, key by key."""
    assert isinstance(bench.servers, ClusterState)
    bench.servers.move(SHARDS_MOVED)
    bench.servers.settle()
