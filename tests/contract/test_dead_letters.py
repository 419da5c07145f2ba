"""The dead letters on Redis: kept with their reason, newest first, without a PIN or a number in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from worker.errors import StoreUnavailable
from worker.ports import Source
from worker.state import dead_letters, keys
from worker.state.dead_letters import RedisDeadLetters

JOB = {"account": "acme", "country": "1", "phone": "2125555555", "code": "4321", "ref": "hello"}


@pytest.fixture
def letters(client: redis.Redis) -> RedisDeadLetters:
    return RedisDeadLetters(client)


def stored(client: redis.Redis) -> str:
    return b"\n".join(client.lrange(keys.DEAD, 0, -1)).decode()  # type: ignore[arg-type]


def test_a_letter_tells_what_came_and_why(letters: RedisDeadLetters) -> None:
    """Reason, source, time and the fields that were readable."""
    letters.bury("id: is required", Source.STREAM, json.dumps(JOB).encode())
    (letter,) = letters.newest(10)
    assert (letter.reason, letter.source) == ("id: is required", "stream")
    assert letter.content["account"] == "acme" and letter.content["ref"] == "hello"
    assert letter.at > 1_700_000_000


@pytest.mark.parametrize(
    "content",
    [
        JOB,
        json.dumps(JOB).encode(),
        json.dumps([[], JOB, {}]).encode(),
        json.dumps([["2125555555", "4321"], {}, {}]).encode(),
        json.dumps({"task": "calls.verify", "kwargs": JOB}).encode(),
        json.dumps(["2125555555", "4321"]).encode(),
        json.dumps(JOB).encode()[:-1],
        b"\xff\xfe phone=2125555555 code=4321",
        json.dumps(JOB).encode("utf-16"),
        b"[" * 100_000 + b"4321 2125555555",
    ],
    ids=["fields", "json", "task", "positional", "old-task", "array", "cut", "bytes", "utf-16", "deep"],
)
def test_no_letter_holds_a_pin_or_a_number(
    client: redis.Redis, letters: RedisDeadLetters, content: Any
) -> None:
    """Whatever came in, in whatever form, neither the PIN nor the whole number is written."""
    letters.bury("broken", Source.CELERY, content)
    text = stored(client).replace("\\u0000", "")
    assert text
    assert "2125555555" not in text
    assert "4321" not in json.dumps(json.loads(stored(client))["content"]).replace("\\u0000", "")


def test_letters_come_newest_first(letters: RedisDeadLetters) -> None:
    """As an operator reads them."""
    for reason in ("first", "second", "third"):
        letters.bury(reason, Source.CELERY, b"x")
    assert [letter.reason for letter in letters.newest(2)] == ["third", "second"]


def test_a_letter_is_found_and_dropped_by_its_id(letters: RedisDeadLetters) -> None:
    """Dropping takes that one alone, once."""
    for reason in ("first", "second"):
        letters.bury(reason, Source.CELERY, b"x")
    first = letters.newest(2)[1]
    assert letters.find(first.id) == first
    assert letters.drop(first.id) and not letters.drop(first.id)
    assert letters.find(first.id) is None
    assert [letter.reason for letter in letters.newest(9)] == ["second"]


def test_the_oldest_letters_make_room(letters: RedisDeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of broken messages cannot fill the store."""
    monkeypatch.setattr(dead_letters, "KEEP_MOST", 3)
    for n in range(5):
        letters.bury(f"reason {n}", Source.CELERY, b"x")
    assert [letter.reason for letter in letters.newest(9)] == ["reason 4", "reason 3", "reason 2"]


def test_a_long_letter_is_cut(client: redis.Redis, letters: RedisDeadLetters) -> None:
    """What is unreadable and large is kept in part."""
    letters.bury("too large", Source.CELERY, b"x" * 1_000_000)
    assert len(stored(client)) < 20_000


def test_without_redis_the_caller_is_told(client: redis.Redis, letters: RedisDeadLetters) -> None:
    """A letter that could not be kept is the caller's to keep."""
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable):
            letters.bury("broken", Source.CELERY, b"x")
    finally:
        client.config_set("maxmemory", "0")
