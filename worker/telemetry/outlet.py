"""Writes text to a file descriptor that may not be read. A blocked pipe must not block the threads that write.

A separate thread writes. Lines that it cannot write fast enough are dropped and counted.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO, cast

from worker.telemetry.threads import show_name

MAX_LINES, MAX_CHARACTERS = 10_000, 1024 * 1024
"""The lines and characters that may wait. Lines beyond that are dropped."""

GATHER_SECONDS = 0.005
"""How long the writer lets lines collect: waking it for each line costs more than writing the line."""

DRAIN_SECONDS = 2.0
"""How long the end of a process waits for text that is not read."""

FULL_SECONDS = 0.5
"""The time between two attempts at a non-blocking descriptor that is full."""


class Outlet:
    """A stream whose `write` passes lines to a thread that writes to `descriptor`. A forked child has its own thread.

    Only one thread at a time may call `write`; the lock of a logging handler ensures that. `dropped` is called for each
    line that was dropped. `recovered` is called with their number, by the writing thread, once the descriptor takes
    lines again.

    Known weakness: lines from the last milliseconds before a process is killed are lost.
    """

    def __init__(
        self,
        descriptor: int,
        encoding: str,
        *,
        dropped: Callable[[], object] = lambda: None,
        recovered: Callable[[int], object] = lambda _: None,
        max_lines: int = MAX_LINES,
        max_characters: int = MAX_CHARACTERS,
    ) -> None:
        self._descriptor, self._encoding = descriptor, encoding
        self._dropped, self._recovered = dropped, recovered
        self._max_lines, self._max_characters = max_lines, max_characters
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """Start empty and without a thread. In a forked child, the parent writes the lines that waited."""
        self._lines: deque[str] = deque()
        # Only one thread changes each counter, so no lock is needed.
        self._taken_lines = self._taken_characters = self._done_lines = self._done_characters = 0
        self._lost_here = self._lost_there = self._told = 0
        self._thread: threading.Thread | None = None
        self._filled = threading.Event()

    def write(self, line: str) -> None:
        """Take a line, or drop it where too much waits already. Never blocks."""
        characters = self._taken_characters + len(line) - self._done_characters
        if characters > self._max_characters or self._taken_lines - self._done_lines >= self._max_lines:
            self._lost_here += 1
            self._dropped()
            return
        self._taken_lines += 1
        self._taken_characters += len(line)
        self._lines.append(line)
        if not self._filled.is_set():
            self._wake()

    def drain(self, most_seconds: float) -> bool:
        """Wait at most `most_seconds` until all lines are written or dropped. Returns whether they are."""
        ends, taken = time.monotonic() + most_seconds, self._taken_lines
        while self._done_lines < taken and time.monotonic() < ends:
            time.sleep(GATHER_SECONDS)
        return self._done_lines >= taken

    def _wake(self) -> None:
        self._filled.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        show_name("log")
        while True:
            self._filled.wait()
            time.sleep(GATHER_SECONDS)
            self._filled.clear()
            while self._lines:
                self._pass_on([self._lines.popleft() for _ in range(len(self._lines))])

    def _pass_on(self, lines: list[str]) -> None:
        text = "".join(lines)
        written = self._write(text.encode(self._encoding, "backslashreplace"))
        if not written:
            self._lost_there += len(lines)
            for _ in lines:
                self._dropped()
        self._done_lines += len(lines)
        self._done_characters += len(text)
        lost = self._lost_here + self._lost_there - self._told
        if written and lost:
            self._told += lost
            self._recovered(lost)

    def _write(self, data: bytes) -> bool:
        """Block until the data is written. Returns False if it cannot be written."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [], FULL_SECONDS)
            except OSError:
                return False
        return True


_outlets: dict[int, Outlet] = {}
_streams: dict[int, TextIO] = {}
"""The streams in use. Without a reference a stream is closed, and a connection may get its descriptor."""

_counts: list[Callable[[], object]] = []


def of(stream: TextIO, recovered: Callable[[int], object]) -> TextIO:
    """Return the outlet of a stream with a descriptor, one for each descriptor. Return other streams unchanged."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return stream
    _streams[descriptor] = stream
    if descriptor not in _outlets:
        _outlets[descriptor] = Outlet(descriptor, stream.encoding, dropped=_count, recovered=recovered)
    return cast(TextIO, _outlets[descriptor])


def count_dropped(count: Callable[[], object]) -> None:
    """Set the function that is called for each line that any outlet drops. It replaces the previous one."""
    _counts[:] = [count]


def drain(most_seconds: float = DRAIN_SECONDS) -> None:
    """Wait at most `most_seconds` until all outlets have written their lines. The end of the process does this too."""
    for outlet in _outlets.values():
        outlet.drain(most_seconds)


def _count() -> None:
    for count in _counts:
        count()


atexit.register(drain)
