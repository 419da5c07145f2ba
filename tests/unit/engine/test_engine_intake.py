"""The intake: every entry is on record or buried before it is acknowledged, and no entry takes another along."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.doubles.samples import account
from tests.doubles.watchers import CountedSuspects, NotedFaults
from tests.doubles.world import World
from worker.engine import intake as module
from worker.engine.dialler import Dialler
from worker.engine.intake import CRASHES_MOST, Entry, Intake
from worker.errors import StoreUnavailable
from worker.intake import Broken, Request, decode
from worker.ports import Lease, Source

JOB = {"account": "acme", "country": "1", "phone": "2125555555", "code": "4321"}


class Idle(Dialler):
    """Notes what it should dial."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, lambda _: None, NotedFaults())
        self.leases: list[str] = []

    def submit(self, lease: Lease) -> None:
        self.leases.append(lease.job.id)


class Bench:
    """An intake on doubles, and what was acknowledged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, threads: int = 9) -> None:
        monkeypatch.setattr(module, "IDLE_SECONDS", 0.001)
        self.world = World(monkeypatch, account("acme", "1000/s", burst=100))
        self.dialler, self.suspects, self.faults = Idle(threads), CountedSuspects(), NotedFaults()
        self.done: list[str] = []
        self.intake = Intake(
            self.world.verification, self.world.dead_letters, self.suspects, self.dialler, self.faults
        )

    def put(self, name: str, **fields: Any) -> Entry:
        raw = json.dumps(JOB | {"id": name} | fields).encode()
        return self.put_raw(raw, name)

    def put_raw(self, raw: bytes, name: str, *, redelivered: bool = False) -> Entry:
        def read() -> Request | Broken:
            fields = decode(raw)
            return fields if isinstance(fields, Broken) else Request(fields, Source.STREAM)

        entry = Entry(raw, read, lambda: self.done.append(name), Source.STREAM, redelivered)
        self.intake.put(entry)
        return entry


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_a_batch_is_recorded_dialled_and_acknowledged(bench: Bench) -> None:
    """All that came by then, in one turn."""
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
    """With the others of its batch admitted."""
    bench.put("a")
    bench.put_raw(b"{", "broken")
    bench.put("c")
    bench.intake.turn()
    assert bench.dialler.leases == ["a", "c"]
    assert bench.world.dead_letters.reasons == ["not valid JSON"]
    assert sorted(bench.done) == ["a", "broken", "c"]


def test_with_the_store_away_nothing_is_acknowledged(bench: Bench) -> None:
    """The batch is kept, no thread is lost, and all is recorded once the store is back."""
    bench.put("a")
    bench.put("b")
    bench.world.store.away = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            bench.intake.turn()
    assert bench.done == []
    bench.world.store.away = False
    bench.put("c")
    bench.intake.turn()
    assert bench.done == bench.dialler.leases == list("abc")
    assert bench.dialler.reserve(99) == 9 - 3


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


def test_an_entry_that_breaks_the_worker_goes_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error nobody foresaw is told; that entry is buried, and the others are admitted once."""
    whole = type(bench.world.ledger).admit

    def poisoned(ledger: Any, applications: Any) -> Any:
        if any(application.job.id == "poison" for application in applications):
            raise ZeroDivisionError
        return whole(ledger, applications)

    monkeypatch.setattr(type(bench.world.ledger), "admit", poisoned)
    for name in ("a", "poison", "c"):
        bench.put(name)
    bench.intake.turn()
    assert sorted(bench.dialler.leases) == ["a", "c"] and sorted(bench.done) == ["a", "c", "poison"]
    assert bench.world.dead_letters.reasons == ["the worker failed at it: ZeroDivisionError"]
    assert bench.faults.failed
    assert bench.dialler.reserve(99) == 9 - 2


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
        """The third worker buries it unread."""
        raw = json.dumps(JOB | {"id": "a"}).encode()
        bench.suspects.marks[raw] = CRASHES_MOST - 1
        bench.put_raw(raw, "a", redelivered=True)
        bench.put("b")
        bench.intake.turn()
        assert bench.dialler.leases == ["b"] and sorted(bench.done) == ["a", "b"]
        assert bench.world.dead_letters.reasons == [f"crashed its worker {CRASHES_MOST} times"]

    def test_a_mark_outlives_a_crash(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """It stands while the entry is handled."""
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
