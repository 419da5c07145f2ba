"""Counts the messages that a process has in hand: those that it has taken and not acknowledged."""

from __future__ import annotations

import threading

from worker.inbound.entry import Entry

MAX_BYTES = 24 * 1024 * 1024
"""The most bytes of all messages in hand, as they came. Together with a decoded batch, and with what is on its way from
the broker, they stay below 64 MB."""


class MessagesInHand:
    """Their number and bytes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes, self.count = 0, 0

    @property
    def room_bytes(self) -> int:
        """How many more bytes may be taken."""
        return max(MAX_BYTES - self._bytes, 0)

    def take(self, entry: Entry) -> None:
        self._add(entry.weight, 1)

    def let_go(self, entry: Entry) -> None:
        self._add(-entry.weight, -1)

    def _add(self, weight: int, messages: int) -> None:
        with self._lock:
            self._bytes += weight
            self.count += messages
