"""`callworker run`, tied to the process that holds the other end of its standard input.

    python -m worker.cli.demo.tied

However that process ends, the worker is asked to end too, and does so at the latest some seconds later.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from worker.cli import program

GRACE_SECONDS = 10.0


def _follow() -> None:
    # Not sys.stdin: a thread that waits in it would upset the interpreter's own end.
    while os.read(0, 512):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_follow, name="tie", daemon=True).start()
    program.main(["run"])
