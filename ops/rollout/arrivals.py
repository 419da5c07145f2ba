"""The events that came, on the results queue and at the webhook, by job."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.integration.receiver import Hook

JOB_EVENTS = "call."


@dataclass(frozen=True)
class Arrived:
    """An event: its exact bytes, its type, and when it came (Unix seconds)."""

    body: bytes
    type: str
    unix: float


Came = Mapping[str, Sequence[Arrived]]
"""What came, by the id of the job, oldest first."""


@dataclass(frozen=True)
class Arrivals:
    """Collects events. Each of its methods is for one thread at a time."""

    queued: dict[str, list[Arrived]] = field(default_factory=lambda: defaultdict(list))
    hooked: dict[str, list[Arrived]] = field(default_factory=lambda: defaultdict(list))

    def queue(self, body: bytes, unix: float) -> None:
        """Note an event of the results queue."""
        _note(self.queued, body, unix)

    def hook(self, hook: Hook) -> int:
        """Note an event at the webhook, and return the status to answer with."""
        _note(self.hooked, hook.body, hook.unix)
        return 200


def _note(events: dict[str, list[Arrived]], body: bytes, unix: float) -> None:
    event = json.loads(body)
    if event["type"].startswith(JOB_EVENTS):
        events[event["data"]["id"]].append(Arrived(body, event["type"], unix))
