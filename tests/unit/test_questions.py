"""Reads of servers for a page: one at a time, and no page waits for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import generate_latest

from worker.core.records import StoreFacts
from worker.errors import StoreUnavailable
from worker.telemetry import questions
from worker.telemetry.metrics import Metrics
from worker.telemetry.questions import Patience, Question
from worker.telemetry.server_state import ServerState
from worker.telemetry.shared_state import SharedState


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

    def accounts() -> list[object]:
        hangs()
        return []

    shared = SharedState(metrics, accounts, list, int, lambda: {"calls": 0})  # type: ignore[arg-type]
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
    families = ServerState(lambda: facts).collect()
    samples = [sample for family in families for sample in family.samples]
    assert {one.name.removeprefix("callworker_"): one.value for one in samples} == told
