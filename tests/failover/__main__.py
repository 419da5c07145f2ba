"""`python -m tests.failover`: servers of the state are killed, cut off and set back under load, many times."""

from __future__ import annotations

import sys

from tests.failover.bench import FailoverBench
from tests.failover.cells import cells
from tests.faults.crew import main
from tests.faults.harness import Harness

BENCHES = {"sentinel": 4, "cluster": 4}
"""Installations side by side, by kind: together they keep two CPUs busy."""

TOLD = (
    "Three machines, which are network namespaces, each with a worker, and with a Redis and a Sentinel, or with a "
    "primary of a cluster and replicas of the two others; jobs and events ride on a Redis of their own. A trial begins "
    "and ends with a second of load, and jobs come in all the time between, five of an account at once each second. A "
    "pause is the longest time in a trial in which nothing was dialled. After a quarter of the splits under Sentinels, "
    "the new primary is made a replica of the old one for a while, as a Sentinel does that has not heard of it."
)

if __name__ == "__main__":
    harness = Harness("Failovers", TOLD, "kind", BENCHES, FailoverBench, cells)
    sys.exit(main(harness, "python -m tests.failover", __doc__))
