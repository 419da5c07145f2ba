"""Waiting for Redis to have written what it has answered."""

from __future__ import annotations

import pytest

from worker.redisio.written import LOOK_SECONDS, is_put_off, puts_writes_off, wait_until_written


@pytest.mark.parametrize(
    ("facts", "put_off"),
    [
        ({"aof_enabled": 1, "aof_pending_bio_fsync": 0, "aof_delayed_fsync": 7}, False),
        ({"aof_enabled": 1, "aof_pending_bio_fsync": 1}, True),
        ({"aof_pending_bio_fsync": 12}, True),
        ({"aof_enabled": 0}, False),
    ],
)
def test_a_sync_under_way_puts_writes_off(facts: dict[str, int], put_off: bool) -> None:
    """A server without an append-only file has none, and writes nothing that could be waited for."""
    assert puts_writes_off(facts) is put_off
    lines = [f"{name}:{value}" for name, value in facts.items()]
    assert is_put_off("\r\n".join(["# Persistence", *lines, ""]).encode()) is put_off


@pytest.mark.parametrize("answer", [None, b"", 1, [], ConnectionError("refused")])
def test_an_answer_that_does_not_say_counts_as_no(answer: object) -> None:
    """Nothing is waited for where INFO is refused or answered by a proxy."""
    assert not is_put_off(answer)


def test_it_is_asked_until_the_sync_is_over() -> None:
    """Redis is asked again after a pause, until it has written."""
    answers, pauses = [True, True, False], list[float]()
    wait_until_written(lambda: answers.pop(0), pauses.append)
    assert (answers, pauses) == ([], [LOOK_SECONDS] * 2)


def test_what_redis_writes_by_itself_is_not_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 2 s it no longer waits for the sync: a disk that hangs must not hang the worker."""
    now = [100.0]
    monkeypatch.setattr("worker.redisio.written.time.monotonic", lambda: now[0])
    wait_until_written(lambda: True, lambda _: now.__setitem__(0, now[0] + 1.0))
    assert 102.0 < now[0] <= 103.0
