"""Takes what has collected in a queue as one batch."""

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
    """Move items from `source` to `batch`, until it has `most` items or weighs `heaviest`.

    If both are empty, wait at most `idle_seconds` for the first item.
    """
    try:
        if not batch:
            batch.append(source.get(timeout=idle_seconds))
        weight = sum(map(weight_of, batch))
        while len(batch) < most and weight < heaviest:
            batch.append(source.get_nowait())
            weight += weight_of(batch[-1])
    except queue.Empty:
        return
