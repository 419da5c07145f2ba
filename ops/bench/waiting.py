"""Waits for a count to be reached, as long as it changes."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.servers import ServerTrouble

STANDSTILL_SECONDS = 30.0


def wait_for_count(
    count: Callable[[], int],
    most: int,
    *,
    poll_seconds: float = 0.02,
    trouble: Callable[[], str] = lambda: "",
    check: Callable[[], None] = lambda: None,
) -> None:
    """Wait until `count()` is `most`; `check` is called before each look.

    Raises ServerTrouble with the text of `trouble` if nothing changes for 30 s.
    """
    seen, ends = -1, 0.0
    while (now := count()) < most:
        check()
        if now != seen:
            seen, ends = now, time.monotonic() + STANDSTILL_SECONDS
        elif time.monotonic() > ends:
            raise ServerTrouble(f"it stands still at {now} of {most}\n{trouble()}")
        time.sleep(poll_seconds)
