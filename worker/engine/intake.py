"""Takes what the sources hand over, puts it on record in batches, and only then says that it is done with."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence

from worker.engine.batches import fill
from worker.engine.dialler import Dialler
from worker.engine.entry import Entry
from worker.engine.setbacks import Setbacks
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.intake import Broken, Request
from worker.loops import Faults
from worker.ports import DeadLetters, Suspects
from worker.verify import Verification

BATCH_MOST = 256
CRASHES_MOST = 3
IDLE_SECONDS = 0.5


class Intake:
    """A queue of entries and the turn that empties it. `put` may be called by any thread, `turn` by one.

    While the store is away nothing is acknowledged or given up. An entry at which the worker itself fails is set apart
    and tried again by itself, so that it holds up no other; see `Setbacks`. `waiting` is called when jobs may have come
    that cannot go at once.
    """

    def __init__(
        self,
        verification: Verification,
        dead_letters: DeadLetters,
        suspects: Suspects,
        dialler: Dialler,
        faults: Faults,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verification, self._dead_letters, self._suspects = verification, dead_letters, suspects
        self._dialler, self._faults = dialler, faults
        self._entries: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._batch: list[Entry] = []
        self.waiting: Callable[[], None] = lambda: None
        self._setbacks = Setbacks(clock)

    def put(self, entry: Entry) -> None:
        self._entries.put(entry)

    def turn(self) -> float:
        """Put one batch on record. Raises StoreUnavailable; the batch is then kept for the next turn."""
        fill(self._batch, self._entries, BATCH_MOST, IDLE_SECONDS)
        self._let_go_of_setbacks()
        for entry in self._setbacks.due():
            self._try_again(entry)
        if self._batch:
            self._record()
            self._batch = []
        return 0.0

    def _let_go_of_setbacks(self) -> None:
        """Whoever has an entry acknowledges it, and that must be one of us only."""
        self._batch = [entry for entry in self._batch if entry not in self._setbacks]

    def _record(self) -> None:
        fresh = [entry for entry in self._batch if not entry.redelivered]
        try:
            self._accept(fresh)
        except StoreUnavailable:
            raise
        except Exception as error:  # one entry that breaks us must not take the others along
            self._faults.loop_failed("intake", error)
            for entry in fresh:
                self._accept_alone(entry)
        for entry in self._batch:
            if entry.redelivered:
                self._accept_suspect(entry)
        self._let_go_of_setbacks()
        hit("acknowledge.before")
        for entry in self._batch:
            self._done(entry)
        hit("acknowledge.after")

    def _accept(self, batch: Sequence[Entry]) -> None:
        requests = self._requests(batch)
        places = self._dialler.reserve(len(requests))
        handed_over = 0
        try:
            leases = self._verification.accept(requests, places)
            for lease in leases:
                self._dialler.submit(lease)
                handed_over += 1
        finally:
            self._dialler.give_back(places - handed_over)
        if len(leases) < len(requests):
            self.waiting()
        if requests:
            self._setbacks.others_passed()

    def _requests(self, batch: Sequence[Entry]) -> list[Request]:
        hit("decode.before")
        contents = [(entry, entry.read()) for entry in batch]
        hit("decode.after")
        for entry, content in contents:
            if isinstance(content, Broken):
                self._bury(content.reason, entry)
        return [content for _, content in contents if isinstance(content, Request)]

    def _accept_suspect(self, entry: Entry) -> None:
        """A redelivered message goes alone, under a mark that outlives a crash: the third crash is its last."""
        if self._suspects.mark(entry.raw) >= CRASHES_MOST:
            self._bury(f"crashed its worker {CRASHES_MOST} times", entry)
        else:
            self._accept_alone(entry)
        self._suspects.clear(entry.raw)

    def _accept_alone(self, entry: Entry) -> None:
        fault = self._fault_at(entry)
        if fault is not None:
            self._setbacks.failed(entry, fault)

    def _try_again(self, entry: Entry) -> None:
        fault = self._fault_at(entry)
        if fault is not None:
            if not self._setbacks.failed(entry, fault):
                return
            self._bury(f"the worker failed at it again and again: {type(fault).__name__}", entry)
        self._setbacks.over(entry)
        self._done(entry)

    def _fault_at(self, entry: Entry) -> Exception | None:
        """Put one entry on record; what went wrong, other than that the store is away."""
        try:
            self._accept([entry])
        except StoreUnavailable:
            raise
        except Exception as error:
            self._faults.loop_failed("intake", error)
            return error
        return None

    def _bury(self, reason: str, entry: Entry) -> None:
        try:
            self._dead_letters.bury(reason, entry.source, entry.raw)
        except StoreUnavailable:
            raise
        except Exception as error:  # what cannot be kept must not come back for ever
            self._faults.loop_failed("intake", error)
            reason = f"{reason} (its content cannot be kept: {type(error).__name__})"
            self._dead_letters.bury(reason, entry.source, b"")

    def _done(self, entry: Entry) -> None:
        try:
            entry.done()
        except Exception as error:  # the job is on record; its message may come again and is known then
            self._faults.loop_failed("intake", error)
