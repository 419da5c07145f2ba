"""What has come together in a queue, as one batch."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import TypeVar

Item = TypeVar("Item")


def fill(
    batch: list[Item],
    source: queue.SimpleQueue[Item],
    most: int,
    idle_seconds: float,
    weight_of: Callable[[Item], int] = lambda _: 0,
    heaviest: int = 1,
) -> None:
    """Add to `batch` what `source` holds, up to `most` in all, or until it weighs `heaviest`; wait for the first that
    long if there is none."""
    try:
        if not batch:
            batch.append(source.get(timeout=idle_seconds))
        weight = sum(map(weight_of, batch))
        while len(batch) < most and weight < heaviest:
            batch.append(source.get_nowait())
            weight += weight_of(batch[-1])
    except queue.Empty:
        return
