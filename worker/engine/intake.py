"""Takes what the sources hand over, puts it on record in batches, and only then says that it is done with."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worker.engine.dialler import Dialler
from worker.errors import StoreUnavailable
from worker.intake import Broken, Request
from worker.loops import Faults
from worker.ports import DeadLetters, Source
from worker.verify import Verification

BATCH_MOST = 256
IDLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Entry:
    """A message: what it asks for, or why it cannot be read and what it was; `done` acknowledges it at its source."""

    content: Request | Broken
    done: Callable[[], None]
    source: Source
    raw: bytes = b""


class Intake:
    """A queue of entries and the turn that empties it. `put` may be called by any thread, `turn` by one."""

    def __init__(
        self, verification: Verification, dead_letters: DeadLetters, dialler: Dialler, faults: Faults
    ) -> None:
        self._verification, self._dead_letters = verification, dead_letters
        self._dialler, self._faults = dialler, faults
        self._entries: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._batch: list[Entry] = []

    def put(self, entry: Entry) -> None:
        self._entries.put(entry)

    def turn(self) -> float:
        """Put one batch on record. Raises StoreUnavailable; the batch is then kept for the next turn."""
        self._fill()
        if self._batch:
            self._record(self._batch)
            self._batch = []
        return 0.0

    def _fill(self) -> None:
        try:
            if not self._batch:
                self._batch.append(self._entries.get(timeout=IDLE_SECONDS))
            while len(self._batch) < BATCH_MOST:
                self._batch.append(self._entries.get_nowait())
        except queue.Empty:
            return

    def _record(self, batch: Sequence[Entry]) -> None:
        try:
            self._accept(batch)
        except StoreUnavailable:
            raise
        except Exception as error:  # one entry that breaks us must not take the others along
            self._faults.loop_failed("intake", error)
            self._one_by_one(batch)
        for entry in batch:
            self._done(entry)

    def _accept(self, batch: Sequence[Entry]) -> None:
        requests = []
        for entry in batch:
            if isinstance(entry.content, Request):
                requests.append(entry.content)
            else:
                self._dead_letters.bury(entry.content.reason, entry.source, entry.raw)
        threads = self._dialler.reserve(len(requests))
        leases = []
        try:
            leases = self._verification.accept(requests, threads)
            for lease in leases:
                self._dialler.submit(lease)
        finally:
            self._dialler.give_back(threads - len(leases))

    def _done(self, entry: Entry) -> None:
        try:
            entry.done()
        except Exception as error:  # the job is on record; its message may come again and is known then
            self._faults.loop_failed("intake", error)

    def _one_by_one(self, batch: Sequence[Entry]) -> None:
        for entry in batch:
            try:
                self._accept([entry])
            except StoreUnavailable:
                raise
            except Exception as error:
                self._faults.loop_failed("intake", error)
                reason = f"the worker failed at it: {type(error).__name__}"
                self._dead_letters.bury(reason, entry.source, _content(entry))


def _content(entry: Entry) -> dict[str, object] | bytes:
    return dict(entry.content.fields) if isinstance(entry.content, Request) else entry.raw
