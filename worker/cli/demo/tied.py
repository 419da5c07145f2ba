"""Runs `callworker run`, tied to the process that holds the other end of its standard input.

    python -m worker.cli.demo.tied

When that process ends in any way, the worker is asked to end too, and ends within a few seconds.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from worker.cli import program

GRACE_SECONDS = 10.0


def _follow() -> None:
    # Not sys.stdin: a thread that waits for it would disturb the interpreter's shutdown.
    while os.read(0, 512):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_follow, name="tie", daemon=True).start()
    program.main(["run"])
