"""A taker of messages in place of an intake."""

from __future__ import annotations

from worker.core.judging import Broken, Submission
from worker.inbound.entry import Entry


class Taker:
    """Implements `inbound.entry.Taker`: keeps the entries it is given, and reports the state that a test sets."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.stuck, self.room_bytes = False, 2**24
        self.put_off, self.full_shards = 0, frozenset[int]()

    def put(self, entry: Entry) -> None:
        self.entries.append(entry)

    def contents(self) -> list[Submission | Broken]:
        return [entry.read() for entry in self.entries]

    def ids(self) -> list[str]:
        return [content.fields["id"] for content in self.contents() if isinstance(content, Submission)]
