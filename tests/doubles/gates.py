"""A gate for requests, as a test wants it."""

from __future__ import annotations

from collections.abc import Callable


class OpenGate:
    """Opens as `opening` says, at once if nothing is said; `connections` were announced to it."""

    def __init__(self, opening: Callable[[], float | None] = lambda: None) -> None:
        self._opening = opening
        self.connections = 0

    def connecting(self) -> None:
        self.connections += 1

    def opens(self) -> float | None:
        return self._opening()
