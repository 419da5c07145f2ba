"""Reads of servers for a page: one at a time, and no page waits for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import generate_latest

from tests.doubles.clocks import FakeClock
from worker.core.figures import BrokerFacts, StoreFacts
from worker.core.records import Pause
from worker.errors import BrokerBlocked, BrokerUnavailable, StoreUnavailable
from worker.telemetry import questions
from worker.telemetry.metrics import Metrics
from worker.telemetry.questions import MOST_SECONDS, Patience, Question
from worker.telemetry.server_state import ServerState
from worker.telemetry.shared_state import SharedState, Stored


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Set at the end of a test, so that a read that hangs ends."""
    event = threading.Event()
    yield event
    event.set()


def test_one_read_answers_all_who_ask_meanwhile(over: threading.Event) -> None:
    """A server that hangs collects no threads, however often a page is asked for."""
    asked: list[int] = []

    def ask() -> int:
        asked.append(1)
        over.wait(60)
        return 7

    question = Question(ask)
    answers = [question.begin() for _ in range(5)]
    over.set()
    assert [answer.result(60) for answer in answers] == [7] * 5
    assert len(asked) == 1


def test_what_asking_raises_is_raised_to_all() -> None:
    """A failure reaches the page with its own words, and the next question is asked again."""
    divisors = [0, 2]
    question = Question(lambda: 6 // divisors.pop(0))
    with pytest.raises(ZeroDivisionError):
        question.begin().result(60)
    assert question.begin().result(60) == 3


@pytest.mark.parametrize(("took", "kept"), [(0.0, 1.0), (0.01, 1.0), (0.25, 5.0), (3.0, MOST_SECONDS)])
def test_answer_that_took_long_is_kept_for_longer(took: float, kept: float) -> None:
    """Reading ten thousand accounts must not take the time of the calls, however often they are scraped."""
    clock, asked = FakeClock(), list[int]()

    def ask() -> int:
        clock.advance(took)
        asked.append(1)
        return 7

    question = Question(ask, 1.0, clock)
    assert question.begin().result(60) == 7
    clock.advance(kept - 0.01)
    assert question.begin().result(60) == 7 and len(asked) == 1
    clock.advance(0.02)
    assert question.begin().result(60) == 7 and len(asked) == 2


def test_failure_is_kept_no_longer_however_long_it_took() -> None:
    """A store that is back must be seen at once."""
    clock, asked = FakeClock(), list[int]()

    def ask() -> None:
        clock.advance(1.5)
        asked.append(1)

    question = Question(ask, 1.0, clock)
    question.begin().result(60)
    clock.advance(1.01)
    question.begin().result(60)
    assert len(asked) == 2


def test_patience_is_for_all_answers_together(over: threading.Event) -> None:
    """Two servers that hang take no longer than one."""
    patience = Patience(0.01)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            patience.result(Question(lambda: over.wait(60)).begin())


def scraped(hangs: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> str:
    """Scrape a worker whose store answers nothing at all."""
    monkeypatch.setattr(questions, "ANSWER_SECONDS", 0.01)
    metrics = Metrics()

    def read() -> Stored:
        hangs()
        return Stored([], [], 0, 0)

    shared = SharedState(metrics, read, int, lambda: {"calls": 0})
    metrics.registry.register(shared)
    return generate_latest(metrics.registry).decode()


def test_scrape_ends_while_the_store_hangs(over: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus gets all other metrics, and the store counts as down, not the worker."""
    text = scraped(lambda: over.wait(600), monkeypatch)
    assert "callworker_store_up 0.0" in text and "callworker_calls_in_flight 0.0" in text
    assert "callworker_jobs_waiting{" not in text


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (None, {}),
        (
            StoreFacts(None, -1.5, 80, 100),
            {"store_writable": 1, "clock_offset_seconds": -1.5}
            | {"redis_memory_used_bytes": 80, "redis_memory_limit_bytes": 100},
        ),
        (StoreFacts(StoreUnavailable("x")), {"store_writable": 0}),
    ],
)
def test_what_is_not_known_has_no_series(facts: StoreFacts | None, told: dict[str, float]) -> None:
    """A gauge at 0 would say that memory is free or that clocks agree."""
    told_now = {name: number for (name, *labels), number in state(facts).items() if not labels}
    assert told_now == told


def state(
    facts: StoreFacts | None, *pauses: Pause, broker: BrokerFacts | None = None
) -> dict[tuple[str, ...], float]:
    """The samples of a worker, by name and labels."""
    families = ServerState(lambda: facts, lambda: broker, lambda: pauses).collect()
    samples = [sample for family in families for sample in family.samples]
    return {(one.name.removeprefix("callworker_"), *one.labels.values()): one.value for one in samples}


@pytest.mark.parametrize("pause", [None, Pause.RESULTS_BACKLOG, Pause.RESULTS_REFUSED])
def test_each_cause_of_a_pause_has_a_series(pause: Pause | None) -> None:
    """At 0 from the start, so that an alert sees it rise; at 1 while it lasts."""
    samples = state(StoreFacts(), *([pause] if pause else []))
    assert {cause: samples["dialling_paused", cause] for cause in Pause} == {
        one: one is pause for one in Pause
    }


def test_store_that_takes_nothing_is_a_cause_of_a_pause() -> None:
    """Nothing can be leased then."""
    samples = state(StoreFacts(StoreUnavailable("x")))
    assert samples["dialling_paused", Pause.STORE] == 1


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (None, None),
        (BrokerFacts(), 0),
        (BrokerFacts(BrokerBlocked("x"), full=True), 1),
        (BrokerFacts(BrokerUnavailable("x")), None),
    ],
)
def test_blocked_broker_is_told_from_one_that_is_away(facts: BrokerFacts | None, told: float | None) -> None:
    """Whether a broker that does not answer takes messages is not known."""
    assert state(StoreFacts(), broker=facts).get(("broker_blocked",)) == told
