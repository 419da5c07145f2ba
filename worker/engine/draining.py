"""Waiting for what is under way to end, when the worker stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LOOK_SECONDS = 0.01


def drained(is_empty: Callable[[], bool], timeout_seconds: float, hurry: threading.Event) -> bool:
    """Wait until `is_empty()`; False if it still is not after the time, or when `hurry` is set."""
    ends = time.monotonic() + timeout_seconds
    while not is_empty() and time.monotonic() < ends and not hurry.is_set():
        hurry.wait(LOOK_SECONDS)
    return is_empty()
