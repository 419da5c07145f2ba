"""Names of threads as the system shows them."""

from __future__ import annotations

import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path

MAX_NAME_BYTES = 15
FRAMES_SHOWN = 6


def show_name(name: str) -> None:
    """Have the calling thread shown as `name` by `top -H`, `ps -L` and profilers; on Linux, elsewhere nothing happens.

    Python names threads for itself alone, before 3.14.
    """
    with suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_bytes(name.encode()[:MAX_NAME_BYTES])


def whereabouts(thread: threading.Thread | None) -> str:
    """The innermost places in the code at which a thread is, without any values; "ended" where it no longer runs."""
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
    if frame is None:
        return "ended"
    places = traceback.extract_stack(frame)[-FRAMES_SHOWN:]
    return " > ".join(f"{Path(place.filename).name}:{place.lineno} {place.name}" for place in places)
