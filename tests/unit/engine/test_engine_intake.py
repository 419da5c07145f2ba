"""The intake: every entry is on record or buried before it is acknowledged, and no entry takes another along."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.doubles.clocks import FakeClock
from tests.doubles.samples import account
from tests.doubles.watchers import CountedSuspects, NotedFaults
from tests.doubles.world import World
from worker.core.judging import Broken, Submission, decode
from worker.core.ports import Whole
from worker.core.records import Lease, Source
from worker.engine.dialler import Dialler
from worker.engine.in_hand import MAX_BYTES
from worker.engine.intake import MAX_BATCH_BYTES, MAX_CRASHES, Intake
from worker.engine.loops import STALLED_AFTER_SECONDS
from worker.engine.setbacks import MAX_PAUSE_SECONDS, MAX_TRIES
from worker.errors import StoreFault, StoreUnavailable, WrongKey
from worker.inbound.entry import Entry

JOB = {"account": "acme", "country": "1", "phone": "2125555555", "code": "4321"}


class Idle(Dialler):
    """Notes what it should dial."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, lambda *_: None, NotedFaults())
        self.leases: list[str] = []

    def submit(self, lease: Lease) -> None:
        self.leases.append(lease.job.id)


class Bench:
    """An intake on doubles, and what was acknowledged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, threads: int = 5) -> None:
        self.world = World(monkeypatch, account("acme", "1000/s", burst=100))
        self.dialler, self.suspects, self.faults = Idle(threads), CountedSuspects(), NotedFaults()
        self.done: list[str] = []
        self.clock = FakeClock()
        self.intake = Intake(
            self.world.reception,
            self.world.dead_letters,
            self.suspects,
            self.dialler,
            self.faults,
            clock=self.clock,
            idle_seconds=0.001,
        )

    def put(self, name: str, **fields: Any) -> Entry:
        raw = json.dumps(JOB | {"id": name} | fields).encode()
        return self.put_raw(raw, name)

    def put_raw(self, raw: bytes, name: str, *, redelivered: bool = False) -> Entry:
        def read() -> Submission | Broken:
            fields = decode(raw)
            return fields if isinstance(fields, Broken) else Submission(fields, Source.STREAM)

        entry = Entry(raw, read, lambda: self.done.append(name), Source.STREAM, redelivered)
        self.intake.put(entry)
        return entry


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_a_batch_is_recorded_dialled_and_acknowledged(bench: Bench) -> None:
    """One turn handles all that has come by then."""
    for name in "abc":
        bench.put(name)
    bench.intake.turn()
    assert bench.dialler.leases == bench.done == list("abc")


def test_a_turn_without_entries_does_nothing(bench: Bench) -> None:
    """It ends after a short wait."""
    assert bench.intake.turn() == 0.0
    assert bench.done == []


def test_jobs_beyond_the_free_threads_wait_in_their_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are on record and acknowledged all the same; threads that were not needed are given back."""
    bench = Bench(monkeypatch, threads=2)
    for name in "abc":
        bench.put(name)
    bench.intake.turn()
    assert bench.dialler.leases == ["a", "b"] and bench.done == list("abc")
    assert bench.world.store.records["c"].state == "waiting"
    bench.dialler.give_back(2)
    bench.put("a")
    bench.intake.turn()
    assert bench.dialler.reserve(9) == 2


def test_a_broken_entry_is_buried_and_acknowledged(bench: Bench) -> None:
    """A broken entry is buried, and the others of its batch are admitted."""
    bench.put("a")
    bench.put_raw(b"{", "broken")
    bench.put("c")
    bench.intake.turn()
    assert bench.dialler.leases == ["a", "c"]
    assert bench.world.dead_letters.reasons == ["not valid JSON"]
    assert sorted(bench.done) == ["a", "broken", "c"]


def test_with_the_store_away_nothing_is_acknowledged(bench: Bench) -> None:
    """The batch is kept, no thread is lost, and all is recorded once the store is back; a worker that ends meanwhile
    tells how many it hands back (D10)."""
    bench.put("a")
    bench.put("b")
    bench.world.store.away = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            bench.intake.turn()
    assert (bench.done, bench.intake.in_hand) == ([], 2)
    bench.world.store.away = False
    bench.put("c")
    bench.intake.turn()
    assert bench.intake.in_hand == 0
    assert bench.done == bench.dialler.leases == list("abc")
    assert bench.dialler.reserve(99) == 5 - 3


def test_a_letter_that_cannot_be_buried_is_not_acknowledged(bench: Bench) -> None:
    """It is tried again."""
    bench.put_raw(b"{", "broken")
    bench.world.dead_letters.away = True
    with pytest.raises(StoreUnavailable):
        bench.intake.turn()
    assert bench.done == []
    bench.world.dead_letters.away = False
    bench.intake.turn()
    assert bench.done == ["broken"]


def test_an_acknowledgement_that_fails_takes_no_other_along(bench: Bench) -> None:
    """The job is on record; the batch is not recorded again."""

    def fail() -> None:
        raise OSError("gone")

    first = bench.put("a")
    bench.intake.put(replace(first, raw=b"x", done=fail))
    bench.put("b")
    bench.intake.turn()
    bench.intake.turn()
    assert bench.done == ["a", "b"] and len(bench.faults.failed) == 1
    assert len(bench.world.watch.named("repeated")) == 1


class TestSuspects:
    """Entries that some worker had in hand before."""

    def test_a_redelivered_entry_is_admitted_under_a_mark(self, bench: Bench) -> None:
        """The mark is gone once it went well."""
        bench.put_raw(json.dumps(JOB | {"id": "a"}).encode(), "a", redelivered=True)
        bench.intake.turn()
        assert bench.dialler.leases == bench.done == ["a"] and bench.suspects.marks == {}

    def test_an_entry_that_crashes_its_workers_is_put_aside(self, bench: Bench) -> None:
        """The third worker buries it unread: of the content only size and digest are kept, for to look at it may be
        what crashes (E1)."""
        raw = json.dumps(JOB | {"id": "a"}).encode()
        bench.suspects.marks[raw] = MAX_CRASHES - 1
        bench.put_raw(raw, "a", redelivered=True)
        bench.put("b")
        bench.intake.turn()
        assert bench.dialler.leases == ["b"] and sorted(bench.done) == ["a", "b"]
        letters = bench.world.dead_letters
        assert letters.letters == [(f"crashed its worker {MAX_CRASHES} times", Source.STREAM, b"")]
        assert letters.wholes == [Whole(len(raw), hashlib.sha256(raw).hexdigest())]

    def test_it_is_put_aside_before_it_is_decoded(self, bench: Bench) -> None:
        """A suspect is put aside before it is decoded or read for its dead letter: either may crash (E1, E2)."""

        def crash() -> Any:
            raise AssertionError("it is looked at")

        entry = Entry(b"bad", crash, lambda: bench.done.append("bad"), Source.QUEUE, True, b"worse", crash)
        bench.suspects.marks[entry.identity] = MAX_CRASHES - 1
        bench.intake.put(entry)
        bench.intake.turn()
        assert bench.done == ["bad"] and bench.faults.failed == []
        assert bench.world.dead_letters.wholes == [Whole(3, hashlib.sha256(b"bad").hexdigest())]

    def test_marks_tell_messages_of_one_body_apart(self, bench: Bench) -> None:
        """Marks include the properties: of two empty bodies, the one with bad properties crashes (E2)."""
        for label in (b"good", b"bad"):
            entry = Entry(b"", lambda: Broken("empty"), lambda: None, Source.QUEUE, True, label)
            if label == b"bad":
                bench.suspects.marks[entry.identity] = MAX_CRASHES - 1
            bench.intake.put(entry)
        bench.intake.turn()
        assert bench.world.dead_letters.reasons == ["empty", f"crashed its worker {MAX_CRASHES} times"]

    def test_a_mark_outlives_a_crash(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """The mark stays while the entry is handled."""
        raw = json.dumps(JOB | {"id": "a"}).encode()
        marked: list[int] = []
        whole = type(bench.world.ledger).admit

        def admit(ledger: Any, applications: Any) -> Any:
            if applications:
                marked.append(bench.suspects.marks[raw])
            return whole(ledger, applications)

        monkeypatch.setattr(type(bench.world.ledger), "admit", admit)
        bench.put_raw(raw, "a", redelivered=True)
        bench.intake.turn()
        assert marked == [1]

    def test_a_crash_at_one_entry_brings_no_other_back(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Entries settled before it in the same turn are already acknowledged: fresh, buried and suspect ones (E1)."""
        whole = CountedSuspects.mark

        def mark(suspects: CountedSuspects, raw: bytes) -> int:
            if b"crash" in raw:
                raise KeyboardInterrupt
            return whole(suspects, raw)

        monkeypatch.setattr(CountedSuspects, "mark", mark)
        bench.put("fresh")
        bench.put_raw(b"{", "broken")
        for name in ("before", "crash", "after"):
            bench.put_raw(json.dumps(JOB | {"id": name}).encode(), name, redelivered=True)
        with pytest.raises(KeyboardInterrupt):
            bench.intake.turn()
        assert bench.done == ["broken", "fresh", "before"]

    def test_an_outage_under_a_mark_is_no_crash(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker that is stopped while Redis takes no jobs leaves no mark behind, however often that happens (E1)."""
        raw = json.dumps(JOB | {"id": "a"}).encode()
        bench.put_raw(raw, "a", redelivered=True)

        def away(*_: Any) -> Any:
            raise StoreUnavailable("full")

        admit = type(bench.world.ledger).admit
        monkeypatch.setattr(type(bench.world.ledger), "admit", away)
        with pytest.raises(StoreUnavailable):
            bench.intake.turn()
        assert bench.suspects.marks == {} and bench.done == []
        monkeypatch.setattr(type(bench.world.ledger), "admit", admit)
        bench.intake.turn()
        assert bench.done == ["a"]


def test_a_turn_that_does_not_end_is_known(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only while it lasts, and only once it takes far too long: then others are to get what this worker holds (E1)."""
    seen: list[bool] = []

    def admit(*_: Any) -> Any:
        for _step in range(2):
            seen.append(bench.intake.stuck)
            bench.clock.advance(STALLED_AFTER_SECONDS + 1)
        seen.append(bench.intake.stuck)
        raise StoreUnavailable("slow")

    monkeypatch.setattr(type(bench.world.ledger), "admit", admit)
    bench.put("a")
    with pytest.raises(StoreUnavailable):
        bench.intake.turn()
    assert seen == [False, True, True] and not bench.intake.stuck


def test_what_is_in_hand_is_bounded_in_bytes(bench: Bench) -> None:
    """Room is what is left of the bound, and comes back as entries are settled (E6)."""
    room = bench.intake.room_bytes
    assert room == MAX_BYTES
    for n in range(3):
        bench.put_raw(b"{" + b"y" * 60_000, f"large-{n}")
    assert room - bench.intake.room_bytes >= 3 * 60_000
    bench.intake.turn()
    assert bench.intake.room_bytes == room and len(bench.done) == 3


def test_a_batch_is_bounded_in_bytes(bench: Bench) -> None:
    """Decoded, a message may take many times its size (E6)."""
    for n in range(40):
        bench.put_raw(b"{" + b"y" * 60_000, f"large-{n}")
    bench.intake.turn()
    assert len(bench.done) == MAX_BATCH_BYTES // 61_025 + 1
    for _ in range(3):
        bench.intake.turn()
    assert len(bench.done) == 40


class TestSetbacks:
    """Entries at which the worker fails with an unexpected error."""

    @pytest.fixture
    def failing(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
        """The errors that admitting a job raises, by its id; "*" is for any job."""
        errors: dict[str, Exception] = {}
        whole = type(bench.world.ledger).admit

        def admit(ledger: Any, applications: Any) -> Any:
            for name in [application.job.id for application in applications]:
                if error := errors.get(name, errors.get("*")):
                    raise error
            return whole(ledger, applications)

        monkeypatch.setattr(type(bench.world.ledger), "admit", admit)
        return errors

    def later(self, bench: Bench, *names: str) -> None:
        """Advance until every setback is due again, with other jobs coming in."""
        bench.clock.advance(MAX_PAUSE_SECONDS)
        for name in names:
            bench.put(name)
        bench.intake.turn()

    def test_an_entry_that_fails_goes_alone(self, bench: Bench, failing: dict[str, Exception]) -> None:
        """The error is reported; the others are admitted once, and that one is neither acknowledged nor buried."""
        failing["odd"] = ZeroDivisionError()
        for name in ("a", "odd", "c"):
            bench.put(name)
        bench.intake.turn()
        assert bench.dialler.leases == bench.done == ["a", "c"]
        assert bench.world.dead_letters.reasons == [] and bench.faults.failed
        assert bench.dialler.reserve(99) == 5 - 2

    def test_a_wrong_key_is_never_an_entrys_fault(self, bench: Bench, failing: dict[str, Exception]) -> None:
        """A wrong key may block for any time: the message is kept, and others get through (E12)."""
        failing["a"] = WrongKey("callworker:{3}:due", "string")
        bench.put("a")
        for n in range(20):
            self.later(bench, f"other-{n}")
        assert bench.world.dead_letters.reasons == [] and "a" not in bench.done and "other-19" in bench.done
        failing.clear()
        self.later(bench)
        assert "a" in bench.done

    def test_a_passing_error_costs_a_second(self, bench: Bench, failing: dict[str, Exception]) -> None:
        """The entry is tried again then, not before, and ends like any other."""
        failing["odd"] = ZeroDivisionError()
        bench.put("odd")
        bench.intake.turn()
        failing.clear()
        bench.clock.advance(0.9)
        bench.intake.turn()
        assert bench.done == []
        bench.clock.advance(0.1)
        bench.intake.turn()
        self.later(bench)
        assert bench.dialler.leases == bench.done == ["odd"]

    def test_pauses_grow(self, bench: Bench, failing: dict[str, Exception]) -> None:
        """1 s, 2 s, 4 s and so on: what fails again and again costs little."""
        failing["odd"] = ZeroDivisionError()
        bench.put("odd")
        for _ in range(64):
            bench.intake.turn()
            bench.clock.advance(1)
        assert len(bench.faults.failed) == 1 + 7

    def test_an_entry_that_alone_fails_is_put_aside(
        self, bench: Bench, failing: dict[str, Exception]
    ) -> None:
        """The entry is put aside after some failures because it alone fails; others get through meanwhile."""
        failing["odd"] = ZeroDivisionError()
        bench.put("odd")
        bench.intake.turn()
        for n in range(MAX_TRIES - 2):
            self.later(bench, f"good-{n}")
        assert bench.world.dead_letters.reasons == []
        self.later(bench)
        assert bench.world.dead_letters.reasons == ["the worker failed at it repeatedly: ZeroDivisionError"]
        self.later(bench)
        assert bench.done.count("odd") == 1 and len(bench.faults.failed) == 1 + MAX_TRIES

    def test_while_nothing_gets_through_nothing_is_put_aside(
        self, bench: Bench, failing: dict[str, Exception]
    ) -> None:
        """A worker that fails at everything is ill itself; all is well when it is."""
        failing["*"] = ZeroDivisionError()
        bench.put("a")
        bench.put("b")
        for _ in range(3 * MAX_TRIES):
            self.later(bench)
        assert bench.done == bench.world.dead_letters.reasons == []
        failing.clear()
        self.later(bench)
        assert bench.done == bench.dialler.leases == ["a", "b"]

    def test_what_got_through_earlier_is_no_proof(self, bench: Bench, failing: dict[str, Exception]) -> None:
        """The worker may have fallen ill since."""
        failing["odd"] = ZeroDivisionError()
        bench.put("odd")
        for n in range(MAX_TRIES - 2):
            self.later(bench, f"good-{n}")
        failing["*"] = ZeroDivisionError()
        for _ in range(MAX_TRIES):
            self.later(bench)
        assert bench.world.dead_letters.reasons == [] and "odd" not in bench.done

    def test_an_error_of_redis_never_counts(self, bench: Bench, failing: dict[str, Exception]) -> None:
        """However long it lasts and whatever else gets through."""
        failing["a"] = StoreFault("user_script:3: attempt to index a nil value")
        bench.put("a")
        for n in range(3 * MAX_TRIES):
            self.later(bench, f"good-{n}")
        assert "a" not in bench.done and bench.world.dead_letters.reasons == []
        failing.clear()
        self.later(bench)
        assert bench.done[-1] == "a"

    def test_an_outage_in_between_acknowledges_nobody_twice(
        self, bench: Bench, failing: dict[str, Exception]
    ) -> None:
        """The batch is tried again without what was set apart from it."""
        failing |= {"odd": ZeroDivisionError(), "late": StoreUnavailable("away")}
        for name in ("odd", "late"):
            bench.put(name)
        with pytest.raises(StoreUnavailable):
            bench.intake.turn()
        failing.clear()
        self.later(bench)
        self.later(bench)
        assert sorted(bench.done) == sorted(bench.dialler.leases) == ["late", "odd"]

    def test_an_outage_does_not_count(self, bench: Bench, failing: dict[str, Exception]) -> None:
        """Entries set apart before an outage are kept through it."""
        failing["odd"] = ZeroDivisionError()
        bench.put("odd")
        bench.intake.turn()
        failing["odd"] = StoreUnavailable("away")
        for _ in range(2 * MAX_TRIES):
            with pytest.raises(StoreUnavailable):
                self.later(bench)
        failing.clear()
        self.later(bench)
        assert bench.done == ["odd"] and len(bench.faults.failed) == 2

    def test_a_redelivered_entry_is_unmarked_while_it_waits(
        self, bench: Bench, failing: dict[str, Exception]
    ) -> None:
        """It crashed nobody: a worker that is stopped meanwhile must not look as if it had."""
        failing["odd"] = ZeroDivisionError()
        bench.put_raw(json.dumps(JOB | {"id": "odd"}).encode(), "odd", redelivered=True)
        bench.intake.turn()
        assert bench.suspects.marks == {} and bench.done == []
        failing.clear()
        self.later(bench)
        assert bench.done == ["odd"]

    @pytest.mark.parametrize("redelivered", [False, True])
    def test_reading_that_fails_is_a_setback_too(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, redelivered: bool
    ) -> None:
        """A bug in reading would hit every message: only one that others outrun is put aside."""

        def read() -> Submission:
            raise KeyError("secret")

        entry = Entry(b"x", read, lambda: bench.done.append("odd"), Source.QUEUE, redelivered)
        bench.intake.put(entry)
        for n in range(MAX_TRIES):
            self.later(bench, f"good-{n}")
        assert bench.world.dead_letters.reasons == ["the worker failed at it repeatedly: KeyError"]
        assert "odd" in bench.done

    def test_content_that_cannot_be_kept_is_left_out(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its reason is kept, and it does not come back for ever."""
        whole = bench.world.dead_letters.bury

        def bury(reason: str, source: Source, content: Any, of: Whole | None, *_: Any) -> None:
            if content:
                raise RecursionError
            whole(reason, source, content, of)

        monkeypatch.setattr(bench.world.dead_letters, "bury", bury)
        bench.put_raw(b"{", "broken")
        bench.intake.turn()
        assert bench.world.dead_letters.letters == [
            ("not valid JSON (its content cannot be kept: RecursionError)", Source.STREAM, b"")
        ]
        assert bench.world.dead_letters.wholes == [Whole(1, hashlib.sha256(b"{").hexdigest())]
        assert bench.done == ["broken"]
