"""The port `Traces` for a worker that makes no spans."""

from __future__ import annotations

from worker.core.events import Event, Failure
from worker.core.records import Lease
from worker.core.trace_context import Origin


class Untraced:
    """Makes no spans."""

    def context(self, _origin: Origin) -> str:
        return ""

    def waited(self, _lease: Lease, _seconds: float) -> None:
        """Do nothing."""

    def ended(
        self,
        _origin: Origin,
        _event: Event,
        _failure: Failure | None,
        _accepted_at_us: int,
        _finished_at_us: int,
    ) -> None:
        """Do nothing."""


UNTRACED = Untraced()
