"""A message on its way from a broker into the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from worker.core.judging import Broken, Submission
from worker.core.ports import Whole
from worker.core.records import Source

OVERHEAD_BYTES = 1024
"""What an entry takes beside its content, roughly."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that was taken from a broker: `read` decodes it, `done` acknowledges it.

    `raw` is what came, nothing of it looked at; of one that is too large, which `cut` tells of, the beginning.
    `label` is what came beside it and is part of what it is. `redelivered`: some worker had it before and did not say
    what became of it. `shown` gives what a dead letter may keep, where that is not `raw`.
    """

    raw: bytes
    read: Callable[[], Submission | Broken]
    done: Callable[[], None]
    source: Source
    redelivered: bool = False
    label: bytes = b""
    shown: Callable[[], bytes] | None = None
    cut: Whole | None = None

    @property
    def weight(self) -> int:
        """Bytes of memory that it takes as long as it is in hand."""
        return OVERHEAD_BYTES + len(self.raw) + len(self.label)

    @property
    def identity(self) -> bytes:
        """What tells it from others."""
        return self.label + self.raw

    @property
    def whole(self) -> Whole:
        """Size and digest, for which nothing has to be read."""
        return self.cut or Whole(len(self.raw), hashlib.sha256(self.raw).hexdigest())


class Taker(Protocol):
    """Takes what the sources have fetched. Thread-safe."""

    @property
    def room_bytes(self) -> int:
        """How much more may be put, in bytes of `Entry.weight`."""

    @property
    def stuck(self) -> bool:
        """True where what it has in hand should go to other workers."""

    def put(self, entry: Entry) -> None: ...
