"""Puts the messages of all sources on record in batches, and acknowledges them only then."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from worker.core.judging import Broken, Submission
from worker.core.ports import DeadLetters, Suspects
from worker.core.verify import Reception
from worker.engine.batches import fill
from worker.engine.dialler import Dialler
from worker.engine.loops import STALLED_AFTER_SECONDS, Faults
from worker.engine.setbacks import Setbacks
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.inbound.entry import Entry

MAX_BATCH = 256
MAX_BATCH_BYTES = 1024 * 1024
"""A decoded message may take thirty times its size in memory."""
MAX_IN_HAND_BYTES = 24 * 1024 * 1024
"""The most bytes of all messages in hand, as they came. Together with a decoded batch, and with what is on its way from
the broker, they stay below 64 MB."""
MAX_CRASHES = 3
IDLE_SECONDS = 0.5


class Intake:
    """A queue of entries, and the turn that empties it. Any thread may call `put`; one thread calls `turn`.

    While the store is away, nothing is acknowledged or given up. An entry that the worker fails to handle is set apart
    and tried again alone, so that it holds up no other entry; see `Setbacks`. `waiting` is called when jobs may have
    come that cannot go at once.
    """

    def __init__(
        self,
        reception: Reception,
        dead_letters: DeadLetters,
        suspects: Suspects,
        dialler: Dialler,
        faults: Faults,
        *,
        waiting: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._reception, self._dead_letters, self._suspects = reception, dead_letters, suspects
        self._dialler, self._faults = dialler, faults
        self._entries: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._batch: list[Entry] = []
        self._waiting, self._idle_seconds = waiting, idle_seconds
        self._lock = threading.Lock()
        self._in_hand_bytes, self._in_hand = 0, 0
        self._setbacks, self._clock = Setbacks(clock), clock
        self._turn_began: float | None = None
        self._closed = False

    def put(self, entry: Entry) -> None:
        self._weigh(entry.weight, 1)
        self._entries.put(entry)

    def close(self, on: bool) -> None:
        """Have the sources bring nothing more (`on`), or bring messages again. What was put already goes on record."""
        self._closed = on

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def in_hand(self) -> int:
        """The number of messages that were put and are not acknowledged yet."""
        return self._in_hand

    @property
    def room_bytes(self) -> int:
        """How many more bytes all sources together may put: 0 if too much is in hand, if a turn is stuck, if closed."""
        return 0 if self._closed or self.stuck else max(MAX_IN_HAND_BYTES - self._in_hand_bytes, 0)

    def _weigh(self, weight: int, entries: int) -> None:
        with self._lock:
            self._in_hand_bytes += weight
            self._in_hand += entries

    @property
    def stuck(self) -> bool:
        """Whether the turn under way takes so long that other workers should get what this one has in hand."""
        began = self._turn_began
        return began is not None and self._clock() - began > STALLED_AFTER_SECONDS

    def turn(self) -> float:
        """Put one batch on record. Raises StoreUnavailable; what is not acknowledged stays for the next turn."""
        self._turn_began = self._clock()
        try:
            self._take_turn()
        finally:
            self._turn_began = None
        return 0.0

    def _take_turn(self) -> None:
        fill(
            self._batch,
            self._entries,
            MAX_BATCH,
            self._idle_seconds,
            lambda entry: entry.weight,
            MAX_BATCH_BYTES,
        )
        self._let_go_of_setbacks()
        for entry in self._setbacks.due():
            self._try_again(entry)
        self._record_fresh()
        for entry in [entry for entry in self._batch if entry.redelivered]:
            self._accept_suspect(entry)
        self._batch = []

    def _let_go_of_setbacks(self) -> None:
        """Remove from the batch what `Setbacks` has: only one of the two may acknowledge an entry."""
        self._batch = [entry for entry in self._batch if entry not in self._setbacks]

    def _record_fresh(self) -> None:
        if not self._fresh:
            return
        try:
            self._accept(self._fresh)
        except StoreUnavailable:
            raise
        except Exception as error:  # one bad entry must not stop the others
            self._faults.loop_failed("intake", error)
            for entry in self._fresh:
                self._accept_alone(entry)
            self._let_go_of_setbacks()

    @property
    def _fresh(self) -> list[Entry]:
        return [entry for entry in self._batch if not entry.redelivered]

    def _accept(self, entries: Sequence[Entry]) -> None:
        """Put entries on record, or bury them. Each is acknowledged as soon as that is done."""
        submissions = self._submissions(entries)
        if submissions:
            self._admit([submission for _, submission in submissions])
            self._acknowledge([entry for entry, _ in submissions])

    def _admit(self, submissions: Sequence[Submission]) -> None:
        places = self._dialler.reserve(len(submissions))
        handed_over = 0
        try:
            leases = self._reception.accept(submissions, places, paused=self._dialler.paused)
            for lease in leases:
                self._dialler.submit(lease)
                handed_over += 1
        finally:
            self._dialler.give_back(places - handed_over)
        if len(leases) < len(submissions):
            self._waiting()
        self._setbacks.others_passed()

    def _submissions(self, entries: Sequence[Entry]) -> list[tuple[Entry, Submission]]:
        hit("decode.before")
        contents = [(entry, entry.read()) for entry in entries]
        hit("decode.after")
        for entry, content in contents:
            if isinstance(content, Broken):
                self._bury(content.reason, entry, content.job_id)
                self._acknowledge([entry])
        return [(entry, content) for entry, content in contents if isinstance(content, Submission)]

    def _accept_suspect(self, entry: Entry) -> None:
        """Handle a redelivered message alone, under a mark that outlives a crash. At its third mark it is buried."""
        try:
            if self._suspects.mark(entry.identity) >= MAX_CRASHES:
                self._bury_unread(f"crashed its worker {MAX_CRASHES} times", entry)
                self._acknowledge([entry])
            else:
                self._accept_alone(entry)
        finally:
            # Also if Redis has gone away: that is no crash, and a worker that is stopped then must not look like one.
            self._suspects.clear(entry.identity)

    def _accept_alone(self, entry: Entry) -> None:
        fault = self._fault_at(entry)
        if fault is not None:
            self._setbacks.failed(entry, fault)

    def _try_again(self, entry: Entry) -> None:
        fault = self._fault_at(entry)
        if fault is not None:
            if not self._setbacks.failed(entry, fault):
                return
            reason = f"the worker failed at it repeatedly: {type(fault).__name__}"
            self._bury(reason, entry, _known_id(entry))
            self._acknowledge([entry])
        self._setbacks.over(entry)

    def _fault_at(self, entry: Entry) -> Exception | None:
        """Put one entry on record. Returns the error if that fails, or None. Raises StoreUnavailable."""
        try:
            self._accept([entry])
        except StoreUnavailable:
            raise
        except Exception as error:
            self._faults.loop_failed("intake", error)
            return error
        return None

    def _bury(self, reason: str, entry: Entry, job_id: str | None) -> None:
        try:
            shown = entry.shown() if entry.shown else entry.raw
            self._dead_letters.bury(reason, entry.source, shown, entry.cut, job_id)
        except StoreUnavailable:
            raise
        except Exception as error:  # a message that cannot be kept must not come back forever
            self._faults.loop_failed("intake", error)
            self._bury_unread(f"{reason} (its content cannot be kept: {type(error).__name__})", entry)

    def _bury_unread(self, reason: str, entry: Entry) -> None:
        """Keep only size and digest of a message: reading its content may be what crashes the worker."""
        self._dead_letters.bury(reason, entry.source, b"", entry.whole)

    def _acknowledge(self, entries: Sequence[Entry]) -> None:
        """Acknowledge entries that are on record or buried. A crash at the next entry does not bring them back."""
        hit("acknowledge.before")
        for entry in entries:
            self._done(entry)
        acknowledged = set(map(id, entries))
        self._batch = [entry for entry in self._batch if id(entry) not in acknowledged]
        hit("acknowledge.after")

    def _done(self, entry: Entry) -> None:
        self._weigh(-entry.weight, -1)
        try:
            entry.done()
        except Exception as error:  # the job is on record: if its message comes again, its id is known
            self._faults.loop_failed("intake", error)


def _known_id(entry: Entry) -> str | None:
    """Return the id that the producer gave the message beside the job's fields, if it can be read."""
    with suppress(Exception):
        content = entry.read()
        return content.job_id if isinstance(content, Broken) else content.default_id
    return None
