"""A message on its way from a broker into the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from worker.intake import Broken, Request
from worker.ports import Source


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that was taken from a broker: `read` decodes `raw`, `done` acknowledges it.

    `redelivered`: some worker had it before and did not say what became of it.
    """

    raw: bytes
    read: Callable[[], Request | Broken]
    done: Callable[[], None]
    source: Source
    redelivered: bool = False
