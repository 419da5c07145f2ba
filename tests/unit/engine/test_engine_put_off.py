"""Entries whose part of the store is away: they stay in order, get their turn, and hold up no other entry."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.doubles.clocks import FakeClock
from tests.doubles.samples import account
from tests.doubles.watchers import CountedSuspects, NotedFaults
from tests.doubles.world import World
from worker.core.judging import Broken, Submission, decode, plain
from worker.core.records import Lease, Source
from worker.core.shards import shard_of
from worker.engine.dialler import Dialler
from worker.engine.intake import Intake
from worker.engine.put_off import FIRST_PAUSE_SECONDS, MAX_OF_SHARD, MAX_PAUSE_SECONDS, PutOff
from worker.errors import StoreUnavailable
from worker.inbound.entry import Entry

JOB = {"country": "1", "phone": "2125555555", "code": "4321"}


def entry(name: str = "a") -> Entry:
    return Entry(name.encode(), lambda: Submission({}, Source.STREAM), lambda: None, Source.STREAM)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def waiting(clock: FakeClock) -> PutOff:
    return PutOff(clock)


def due(waiting: PutOff, most: int = 9) -> list[str]:
    return [one.raw.decode() for one in waiting.due(most, 10**6)]


def test_the_first_of_each_account_is_given_again(waiting: PutOff, clock: FakeClock) -> None:
    """After a pause, and the others of the account only once it got through."""
    assert waiting.wait_seconds == math.inf
    entries = {name: entry(name) for name in ("acme-1", "acme-2", "globex-1")}
    for name, one in entries.items():
        waiting.put(one, name.partition("-")[0])
    assert waiting.accounts == {"acme", "globex"} and waiting.count == 3
    assert due(waiting) == [] and waiting.wait_seconds == FIRST_PAUSE_SECONDS
    clock.advance(FIRST_PAUSE_SECONDS)
    assert due(waiting) == ["acme-1", "globex-1"]
    waiting.over(entries["acme-1"])
    waiting.put(entries["globex-1"], "globex")
    assert waiting.wait_seconds == 0.0 and due(waiting) == ["acme-2"]
    waiting.over(entries["acme-2"])
    assert waiting.accounts == {"globex"} and entries["acme-2"] not in waiting


def test_the_pause_grows_and_begins_again_after_a_success(waiting: PutOff, clock: FakeClock) -> None:
    """A part that is away for long is asked once a second."""
    one, other = entry("a"), entry("b")
    waiting.put(one, "acme")
    waiting.put(other, "globex")
    pauses = []
    for _ in range(4):
        pauses.append(waiting.wait_seconds)
        clock.advance(waiting.wait_seconds)
        assert len(due(waiting)) == 2
        waiting.put(one, "acme")
        waiting.put(other, "globex")
    assert pauses == [0.25, 0.25, 0.5, MAX_PAUSE_SECONDS]
    waiting.over(one)
    assert waiting.wait_seconds <= FIRST_PAUSE_SECONDS


def test_what_failed_comes_last_next_time(waiting: PutOff, clock: FakeClock) -> None:
    """So all accounts get their turn, however many there are."""
    entries = {name: entry(name) for name in "abc"}
    for name, one in entries.items():
        waiting.put(one, f"account-{name}")
    clock.advance(1)
    assert due(waiting, most=2) == ["a", "b"]
    for name in "ab":
        waiting.put(entries[name], f"account-{name}")
    clock.advance(1)
    assert due(waiting, most=2) == ["c", "a"]


def test_an_entry_by_itself_holds_up_no_account(waiting: PutOff) -> None:
    """It needs another part than its account."""
    waiting.put(entry("a"), "")
    waiting.put(entry("b"), "")
    assert waiting.accounts == set() and waiting.count == 2


def test_a_flood_of_one_shard_is_left_to_the_broker(waiting: PutOff) -> None:
    """From some number on, no more should be taken of its queue; it is taken from again once the entries are over."""
    entries = [entry(str(n)) for n in range(MAX_OF_SHARD + 1)]
    for one in entries[:-1]:
        waiting.put(one, "acme")
    assert waiting.full == frozenset()
    waiting.put(entries[-1], "acme")
    assert waiting.full == {shard_of("acme")}
    waiting.over(entries[0])
    assert waiting.full == frozenset()


class Idle(Dialler):
    """Notes what it should dial."""

    def __init__(self) -> None:
        super().__init__(50, lambda *_: None, NotedFaults())
        self.leases: list[str] = []

    def submit(self, lease: Lease) -> None:
        self.leases.append(lease.job.id)


class Bench:
    """An intake on doubles, with two accounts, and what was acknowledged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(
            monkeypatch, account("acme", "1000/s", burst=99), account("globex", "1000/s", burst=99)
        )
        self.store, self.clock = self.world.store, FakeClock()
        self.dialler, self.suspects, self.faults = Idle(), CountedSuspects(), NotedFaults()
        self.done: list[str] = []
        self.intake = Intake(
            self.world.reception,
            self.world.dead_letters,
            self.suspects,
            self.dialler,
            self.faults,
            clock=self.clock,
            idle_seconds=0.001,
        )

    def put(self, name: str, owner: str, *, redelivered: bool = False, **fields: Any) -> None:
        raw = json.dumps(JOB | {"id": name, "account": owner} | fields).encode()
        self.put_raw(raw, name, redelivered=redelivered)

    def put_raw(self, raw: bytes, name: str, *, redelivered: bool = False) -> None:
        def read() -> Any:
            fields = decode(raw)
            return fields if isinstance(fields, Broken) else plain(fields, Source.STREAM)

        done = lambda: self.done.append(name)  # noqa: E731
        self.intake.put(Entry(raw, read, done, Source.STREAM, redelivered))

    def turns(self) -> None:
        """Take turns until all that may be given again was."""
        for _ in range(3):
            self.clock.advance(MAX_PAUSE_SECONDS)
            self.intake.turn()
            self.intake.turn()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_jobs_of_a_part_that_is_away_are_not_acknowledged(bench: Bench) -> None:
    """The others of their batch go on record and are dialled; those follow in order once their part is back."""
    bench.store.apart = {"acme"}
    for number in range(3):
        bench.put(f"acme-{number}", "acme")
        bench.put(f"globex-{number}", "globex")
    bench.intake.turn()
    assert bench.done == bench.dialler.leases == ["globex-0", "globex-1", "globex-2"]
    assert bench.intake.in_hand == bench.intake.put_off == 3
    bench.store.apart = set()
    bench.put("acme-3", "acme")
    bench.turns()
    assert bench.dialler.leases[3:] == bench.done[3:] == ["acme-0", "acme-1", "acme-2", "acme-3"]
    assert bench.intake.in_hand == bench.intake.put_off == 0 and not bench.faults.failed


def test_while_a_part_is_away_turns_go_on(bench: Bench) -> None:
    """No turn fails, and jobs of the other parts are admitted in each."""
    bench.store.apart = {"acme"}
    for number in range(5):
        bench.put(f"acme-{number}", "acme")
        bench.put(f"globex-{number}", "globex")
        bench.clock.advance(MAX_PAUSE_SECONDS)
        bench.intake.turn()
    assert len(bench.done) == 5 and bench.intake.put_off == 5


def test_with_the_whole_store_away_a_turn_fails(bench: Bench) -> None:
    """What was put off stays where it is, and is admitted once everything is back."""
    bench.store.apart = {"acme"}
    bench.put("acme-0", "acme")
    bench.intake.turn()
    bench.store.away = True
    bench.put("globex-0", "globex")
    bench.clock.advance(MAX_PAUSE_SECONDS)
    with pytest.raises(StoreUnavailable):
        bench.intake.turn()
    bench.store.away, bench.store.apart = False, set()
    bench.turns()
    assert sorted(bench.done) == ["acme-0", "globex-0"]


def test_what_is_no_valid_job_comes_later_too(bench: Bench) -> None:
    """A job to reject and a message to bury are kept; each is told once."""
    bench.store.apart = {"acme"}
    bench.world.dead_letters.away = True
    bench.put("acme-0", "acme", phone="none")
    bench.put_raw(b"{", "broken")
    bench.put_raw(json.dumps({"account": "globex"}).encode(), "nameless")
    bench.put("globex-0", "globex")
    bench.intake.turn()
    assert bench.done == ["globex-0"] and bench.intake.put_off == 3
    bench.store.apart, bench.world.dead_letters.away = set(), False
    bench.turns()
    assert sorted(bench.done) == ["acme-0", "broken", "globex-0", "nameless"]
    assert len(bench.world.dead_letters.reasons) == 2 and len(bench.world.store.outbox) == 1


def test_a_redelivered_message_comes_later_without_a_mark_left(bench: Bench) -> None:
    """It was handled without a crash, so nothing is held against it."""
    bench.store.apart = {"acme"}
    bench.put("acme-0", "acme", redelivered=True)
    for _ in range(5):
        bench.clock.advance(MAX_PAUSE_SECONDS)
        bench.intake.turn()
    bench.store.apart = set()
    bench.turns()
    assert bench.done == ["acme-0"] and not bench.world.dead_letters.reasons


def test_a_job_whose_cancel_comes_later_waits_for_it(bench: Bench) -> None:
    """A job and its cancel that come together end without a call, also if the cancel cannot be carried out at once."""
    bench.put("globex-0", "globex")
    bench.intake.turn()
    bench.store.apart = {"globex"}
    bench.put_raw(json.dumps({"cancel": "globex-0"}).encode(), "cancel")
    bench.put("globex-0", "acme")
    bench.intake.turn()
    assert bench.done == ["globex-0"] and bench.intake.put_off == 2
