"""The end of a worker's process.

Threads in which greenlets switch must not see the interpreter's own end. It ends each thread that asks for the GIL,
there and then; in the middle of a switch the stack that it unwinds is not that thread's, and the process crashes. A
worker that has done all its work would exit as if it had failed, and might leave a core file with PINs and keys.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

from worker.telemetry import outlet


def leave(status: int) -> NoReturn:
    """End the process with this exit status, as soon as what it has logged and printed is written."""
    outlet.drain()
    for stream in (sys.stdout, sys.stderr):
        # None where a process was started without; an error where nobody reads it any more.
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(status)
