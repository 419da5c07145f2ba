"""What has come together in a queue, as one batch."""

from __future__ import annotations

import queue
from typing import TypeVar

Item = TypeVar("Item")


def fill(batch: list[Item], source: queue.SimpleQueue[Item], most: int, idle_seconds: float) -> None:
    """Add to `batch` what `source` holds, up to `most` in all; wait for the first that long if there is none."""
    try:
        if not batch:
            batch.append(source.get(timeout=idle_seconds))
        while len(batch) < most:
            batch.append(source.get_nowait())
    except queue.Empty:
        return
