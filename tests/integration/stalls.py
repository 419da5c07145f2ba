"""How far a clock of this process can be trusted, for tests that judge by the moments at which something came."""

from __future__ import annotations

import threading
import time
from typing import Self

TICK_SECONDS = 0.002
CALM_SECONDS, BUSY_SLACK_SECONDS = 0.03, 0.5
"""The longest stall of a machine that is calm, and what is allowed for on one that is busy."""


class Stalls:
    """The longest time for which this process, and with it the provider's clock, did not get to run."""

    def __init__(self) -> None:
        self.worst_seconds = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def calm(self) -> bool:
        """Whether moments are known well enough to judge a rate by."""
        return self.worst_seconds <= CALM_SECONDS

    @property
    def slack_seconds(self) -> float:
        """By how much one moment may be later than another request's, although both were sent at the same time.

        On a busy machine other processes stand still too, for longer than this one can know.
        """
        return self.worst_seconds if self.calm else BUSY_SLACK_SECONDS

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._over.wait(TICK_SECONDS):
            now = time.monotonic()
            self.worst_seconds, last = max(self.worst_seconds, now - last - TICK_SECONDS), now
