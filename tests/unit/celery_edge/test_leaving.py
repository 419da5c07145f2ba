"""The end of a worker's process, while greenlets switch in its threads."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import random, sys, time

from worker.celery_edge.leaving import leave
from worker.engine.greenlets import Greenlets, GivingWay
from worker.telemetry import outlet

sys.setswitchinterval(0.00005)
waits = GivingWay()

def below(depth):
    if depth:
        below(depth - 1)
    while True:
        waits.sleep(random.random() / 2000)
        if random.random() < 0.3:
            waits.aside(lambda: time.sleep(0.0002))

for name in ("dial", "webhook"):
    thread = Greenlets(name)
    for n in range(30):
        thread.submit(lambda depth=n % 20: below(depth))
time.sleep(0.1)
outlet.of(sys.stderr, lambda _: None).write("logged\\n")
print("printed", end="")
leave(3)
"""
"""The interpreter's own end, `sys.exit(3)`, crashed three of four times."""


def test_process_ends_with_its_status_and_all_that_it_told_while_greenlets_switch() -> None:
    for _ in range(10):
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (3, "printed", "logged\n")


def test_process_without_streams_ends_with_its_status() -> None:
    program = """
import sys
from worker.celery_edge.leaving import leave
sys.stdout.close()
sys.stderr = None
leave(4)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 4
