"""A link that keeps what a client sends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from callworker.message import Message


class Recorder:
    """Takes the place of `link.Link`."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Message]] = []

    def send(self, batch: Sequence[Message]) -> None:
        self.batches.append(batch)

    def close(self) -> None:
        """Do nothing."""

    def forget(self) -> None:
        """Do nothing."""

    @property
    def messages(self) -> list[Message]:
        return [message for batch in self.batches for message in batch]

    def kwargs(self) -> list[dict[str, Any]]:
        """Return the arguments of each task."""
        found = []
        for message in self.messages:
            args, kwargs, _ = json.loads(message.body)
            assert args == []
            found.append(kwargs)
        return found
