"""Puts the messages of all sources on record in batches, and acknowledges them only then."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

from worker.core.judging import Broken, Submission
from worker.core.ports import DeadLetters, Suspects
from worker.core.verify import Reception
from worker.engine.batches import fill
from worker.engine.dialler import Dialler
from worker.engine.in_hand import MessagesInHand
from worker.engine.letters import Letters, known_id
from worker.engine.loops import STALLED_AFTER_SECONDS, Faults
from worker.engine.put_off import PutOff
from worker.engine.setbacks import Setbacks
from worker.errors import StoreUnavailable
from worker.failpoints import hit
from worker.inbound.entry import Entry

MAX_BATCH = 256
MAX_BATCH_BYTES = 1024 * 1024
"""A decoded message may take thirty times its size in memory."""
MAX_CRASHES = 3
IDLE_SECONDS = 0.5


class Intake:
    """A queue of entries, and the turn that empties it. Any thread may call `put`; one thread calls `turn`.

    While the store is away, nothing is acknowledged or given up. An entry that the worker fails to handle is set apart
    and tried again alone, so that it holds up no other entry; see `Setbacks`. If only a part of the store is away, the
    entries that need it are put off, see `PutOff`. `waiting` is called when jobs may have come that cannot go at once.
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
        self._reception, self._suspects = reception, suspects
        self._letters = Letters(dead_letters, lambda error: faults.loop_failed("intake", error))
        self._dialler, self._faults = dialler, faults
        self._entries: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._batch: list[Entry] = []
        self._waiting, self._idle_seconds = waiting, idle_seconds
        self._in_hand = MessagesInHand()
        self._setbacks, self._put_off, self._clock = Setbacks(clock), PutOff(clock), clock
        self._turn_began: float | None = None
        self._closed = False

    def put(self, entry: Entry) -> None:
        self._in_hand.take(entry)
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
        return self._in_hand.count

    @property
    def put_off(self) -> int:
        """How many of the messages in hand wait for a part of the store that is away."""
        return self._put_off.count

    @property
    def full_shards(self) -> Collection[int]:
        """The numbers of the shard queues of which enough messages are put off."""
        return self._put_off.full

    @property
    def room_bytes(self) -> int:
        """How many more bytes all sources together may put: 0 if too much is in hand, if a turn is stuck, if closed."""
        return 0 if self._closed or self.stuck else self._in_hand.room_bytes

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
            min(self._idle_seconds, self._put_off.wait_seconds),
            lambda entry: entry.weight,
            MAX_BATCH_BYTES,
        )
        self._let_go_of_setbacks()
        self._record(self._put_off.due(MAX_BATCH, MAX_BATCH_BYTES))
        for entry in self._setbacks.due():
            self._try_again(entry)
        self._record(self._batch)
        self._batch = []

    def _let_go_of_setbacks(self) -> None:
        """Remove from the batch what `Setbacks` has: only one of the two may acknowledge an entry."""
        self._batch = [entry for entry in self._batch if entry not in self._setbacks]

    def _record(self, entries: Sequence[Entry]) -> None:
        """Put entries on record: the fresh ones together, each redelivered one alone."""
        fresh = [entry for entry in entries if not entry.redelivered]
        suspects = [entry for entry in entries if entry.redelivered]
        if fresh:
            self._record_fresh(fresh)
        for entry in suspects:
            self._accept_suspect(entry)

    def _record_fresh(self, entries: Sequence[Entry]) -> None:
        try:
            self._accept(entries)
        except StoreUnavailable:
            raise
        except Exception as error:  # one bad entry must not stop the others
            self._faults.loop_failed("intake", error)
            for entry in self._unanswered(entries):
                self._accept_alone(entry)
            self._let_go_of_setbacks()

    def _unanswered(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries that are neither acknowledged nor set back."""
        batch = {id(entry) for entry in self._batch if entry not in self._setbacks}
        return [entry for entry in entries if id(entry) in batch or entry in self._put_off]

    def _accept(self, entries: Sequence[Entry]) -> None:
        """Put entries on record, or bury them. Each is acknowledged as soon as that is done."""
        submissions = self._submissions(entries)
        if submissions:
            later = self._admit(
                [submission for _, submission in submissions], self._waiting_accounts(entries)
            )
            self._acknowledge([entry for n, (entry, _) in enumerate(submissions) if n not in later])
            for n, account in later.items():
                self._give_later(submissions[n][0], account)

    def _waiting_accounts(self, entries: Sequence[Entry]) -> Collection[str]:
        """Return the accounts whose entries must come later, because earlier ones were put off."""
        return () if entries[0] in self._put_off else self._put_off.accounts

    def _admit(self, submissions: Sequence[Submission], waiting: Collection[str]) -> dict[int, str]:
        """Return the places of those to give again later, see `Accepted`."""
        places = self._dialler.reserve(len(submissions))
        handed_over = 0
        try:
            leases, later = self._reception.accept(
                submissions, places, paused=self._dialler.paused, waiting=waiting
            )
            for lease in leases:
                self._dialler.submit(lease)
                handed_over += 1
        finally:
            self._dialler.give_back(places - handed_over)
        if len(leases) + len(later) < len(submissions):
            self._waiting()
        if len(later) < len(submissions):
            self._setbacks.others_passed()
        return later

    def _submissions(self, entries: Sequence[Entry]) -> list[tuple[Entry, Submission]]:
        hit("decode.before")
        contents = [(entry, entry.read()) for entry in entries]
        hit("decode.after")
        for entry, content in contents:
            if isinstance(content, Broken):
                self._or_later(entry, partial(self._letters.bury, content.reason, entry, content.job_id))
        return [(entry, content) for entry, content in contents if isinstance(content, Submission)]

    def _or_later(self, entry: Entry, bury: Callable[[], None]) -> None:
        """Bury an entry and acknowledge it; or put it off, if that part of the store is away."""
        try:
            bury()
        except StoreUnavailable as error:
            if not self._reception.ledger.is_apart(error):
                raise
            self._give_later(entry, "")
        else:
            self._acknowledge([entry])

    def _accept_suspect(self, entry: Entry) -> None:
        """Handle a redelivered message alone, under a mark that outlives a crash. At its third mark it is buried."""
        try:
            self._handle_marked(entry)
        except StoreUnavailable as error:
            if not self._reception.ledger.is_apart(error):
                raise
            for one in self._unanswered([entry]):
                self._give_later(one, "")

    def _handle_marked(self, entry: Entry) -> None:
        try:
            if self._suspects.mark(entry.identity) >= MAX_CRASHES:
                self._letters.bury_unread(f"crashed its worker {MAX_CRASHES} times", entry)
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
            self._put_off.over(entry)

    def _try_again(self, entry: Entry) -> None:
        fault = self._fault_at(entry)
        if fault is not None:
            if not self._setbacks.failed(entry, fault):
                return
            reason = f"the worker failed at it repeatedly: {type(fault).__name__}"
            self._or_later(entry, partial(self._letters.bury, reason, entry, known_id(entry)))
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

    def _acknowledge(self, entries: Sequence[Entry]) -> None:
        """Acknowledge entries that are on record or buried. A crash at the next entry does not bring them back."""
        hit("acknowledge.before")
        for entry in entries:
            self._done(entry)
            self._put_off.over(entry)
        self._take_from_batch(entries)
        hit("acknowledge.after")

    def _give_later(self, entry: Entry, account: str) -> None:
        """Put an entry off, behind those of `account` that were put off before."""
        self._put_off.put(entry, account)
        self._take_from_batch([entry])

    def _take_from_batch(self, entries: Sequence[Entry]) -> None:
        taken = set(map(id, entries))
        self._batch = [entry for entry in self._batch if id(entry) not in taken]

    def _done(self, entry: Entry) -> None:
        self._in_hand.let_go(entry)
        try:
            entry.done()
        except Exception as error:  # the job is on record: if its message comes again, its id is known
            self._faults.loop_failed("intake", error)
