"""Shows the names of threads to the system's tools, and tells where in the code a thread is."""

from __future__ import annotations

import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path

MAX_NAME_BYTES = 15
MAX_FRAMES = 6


def show_name(name: str) -> None:
    """Let `top -H`, `ps -L` and profilers show the calling thread as `name`. Does nothing except on Linux.

    Before version 3.14, Python does not tell the system the names of its threads.
    """
    with suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_bytes(name.encode()[:MAX_NAME_BYTES])


def whereabouts(thread: threading.Thread | None) -> str:
    """Return the innermost places in the code where a thread is, without any values; "ended" if it no longer runs."""
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
    if frame is None:
        return "ended"
    places = traceback.extract_stack(frame)[-MAX_FRAMES:]
    return " > ".join(f"{Path(place.filename).name}:{place.lineno} {place.name}" for place in places)
