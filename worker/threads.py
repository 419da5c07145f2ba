"""Names of threads as the system shows them."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

NAME_BYTES_MOST = 15


def show_name(name: str) -> None:
    """Have the calling thread shown as `name` by `top -H`, `ps -L` and profilers; on Linux, elsewhere nothing happens.

    Python names threads for itself alone, before 3.14.
    """
    with suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_bytes(name.encode()[:NAME_BYTES_MOST])
