"""A message on its way from a broker into the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from worker.core.judging import Broken, Submission
from worker.core.ports import Whole
from worker.core.records import Source

OVERHEAD_BYTES = 1024
"""About how much memory an entry takes in addition to its content."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that was taken from a broker: `read` decodes it, `done` acknowledges it.

    `raw` is the message as it came, not yet decoded; if it was too large, its beginning, and `cut` describes the whole.
    `label` came with the message and is part of its identity. `redelivered` is true if a worker had the message before
    and never acknowledged it. `shown` returns what a dead letter may keep, if that is not `raw`.
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
        """About how many bytes of memory the entry takes while it is in hand."""
        return OVERHEAD_BYTES + len(self.raw) + len(self.label)

    @property
    def identity(self) -> bytes:
        """The bytes by which the entry is told from others."""
        return self.label + self.raw

    @property
    def whole(self) -> Whole:
        """Size and digest of the message; nothing is decoded for them."""
        return self.cut or Whole(len(self.raw), hashlib.sha256(self.raw).hexdigest())


class Taker(Protocol):
    """Takes the entries that sources have fetched: a port, which the engine's intake implements. Thread-safe."""

    @property
    def room_bytes(self) -> int:
        """How much more may be put, in bytes of `Entry.weight`; it may be negative."""

    @property
    def put_off(self) -> int:
        """How many of the entries wait for a part of the store that is away. They must not keep others out."""

    @property
    def full_shards(self) -> Collection[int]:
        """The numbers of the shard queues from which no more should be taken, because enough is put off."""

    @property
    def stuck(self) -> bool:
        """Whether the entries in hand should go to other workers, because this one makes no progress."""

    def put(self, entry: Entry) -> None:
        """Take an entry. Its `done` is called once its job is on record or it is a dead letter."""
