"""`python -m tests.faults`: the long run, and its table."""

from __future__ import annotations

import sys

from tests.faults.bench import Bench
from tests.faults.cells import cells
from tests.faults.crew import main
from tests.faults.harness import Harness

BENCHES = {"redis": 4, "amqp": 6}
"""Installations by broker, side by side: those with RabbitMQ wait longer. Twice as many keep two CPUs so busy that
drains come near their bound."""

TOLD = (
    "Each run sets many failpoints at a time; a failpoint that kills or freezes has a worker of its own. The result of "
    "a run is shown in the row of each of its faults."
)

if __name__ == "__main__":
    harness = Harness("Faults", TOLD, "broker", BENCHES, Bench, cells)
    sys.exit(main(harness, "python -m tests.faults", __doc__))
