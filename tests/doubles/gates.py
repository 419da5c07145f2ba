"""A gate for requests that does what a test says."""

from __future__ import annotations

from collections.abc import Callable


class OpenGate:
    """Opens as `opening` says, by default at once, and counts the `connections` announced to it."""

    def __init__(self, opening: Callable[[], float | None] = lambda: None) -> None:
        self._opening = opening
        self.connections = 0

    def connecting(self) -> None:
        self.connections += 1

    def opens(self) -> float | None:
        return self._opening()
