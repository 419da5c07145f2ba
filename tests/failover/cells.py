"""What is done to the servers of the state while jobs come in."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import cast

from tests.failover.bench import JOBS_AT_ONCE, FailoverBench
from tests.failover.cluster import ClusterState
from tests.failover.instance import Instance
from tests.failover.sentinels import SentinelState
from tests.faults.cell import Cell, alone
from tests.faults.run import Run
from tests.faults.servers import wait_for

PAUSE_SECONDS = 1.0
"""How long no job comes in after some have at once."""
LEAD_SECONDS = 1.0
"""How long jobs come in before the fault and after it."""

BEHIND_SECONDS, SPLIT_SECONDS, BACK_SECONDS = 0.5, 14.0, 5.0
PROMOTED_SECONDS = 30.0
TURNED_SHARE = 0.25
"""In how many splits the Sentinel of the old side turns the new primary before it hears of it, see ADR 0027."""
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

    # In a split there is a worker on each side, whichever machine is cut off.
    standing = 3 if name.endswith(".split") else 2
    return alone(name, trial, standing=standing, trials_per_drain=1, drains=20)


def _under_load(run: Run, fault: Callable[[], None]) -> None:
    """Let jobs come in before, during and after a fault, and note for how long nothing was dialled meanwhile."""
    over, began = threading.Event(), time.time()

    def send() -> None:
        while not over.wait(PAUSE_SECONDS):
            run.send(JOBS_AT_ONCE)

    with ThreadPoolExecutor(1) as producer:
        sending = producer.submit(send)
        try:
            run.pause(LEAD_SECONDS, LEAD_SECONDS)
            fault()
            run.repair()
            run.pause(LEAD_SECONDS, LEAD_SECONDS)
        finally:
            over.set()
        sending.result()
    moments = [began, *sorted(one.unix for one in run.provider.served() if one.unix > began), time.time()]
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
    former = bench.servers.victim()
    bench.network.part(former.machine)
    time.sleep(SPLIT_SECONDS)
    bench.network.join()
    if isinstance(bench.servers, SentinelState) and random.random() < TURNED_SHARE:
        bench.servers.turn(former)
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
