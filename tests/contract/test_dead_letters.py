"""The dead letters on Redis: kept with their reason, newest first, without a PIN or a number in them."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from worker.core.ports import Whole
from worker.core.records import Source
from worker.errors import StoreUnavailable
from worker.privacy.harmless import to_send_again
from worker.privacy.labelled import REDACTED
from worker.privacy.scrubbing import scrub
from worker.state import keys
from worker.state.dead_letters import RedisDeadLetters

JOB = {"account": "acme", "country": "1", "phone": "2125555555", "code": "4321", "ref": "hello"}


@pytest.fixture
def letters(client: redis.Redis) -> RedisDeadLetters:
    return RedisDeadLetters(client)


def stored(client: redis.Redis) -> str:
    return b"\n".join(client.lrange(keys.DEAD, 0, -1)).decode()  # type: ignore[arg-type]


def stored_bytes(client: redis.Redis) -> int:
    rows: Any = client.lrange(keys.DEAD, 0, -1)
    return sum(map(len, rows))


def counted(client: redis.Redis) -> int:
    count: Any = client.get(keys.DEAD_BYTES)
    return int(count)


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


def of(**fields: object) -> dict[str, Any]:
    """A job of another system's making, beside what is ours."""
    return {"account": "acme", "country": "1", **fields}


FOREIGN = {
    "otp": of(otp="4321", to="2125550142"),
    "passcode": of(passcode=4321, msisdn=2125550142),
    "verification_code": of(verification_code="4321", recipient="+12125550142"),
    "pinCode": of(pinCode="4-3-2-1", mobile="212-555-0142"),
    "parentheses": of(text="4321 for (212) 555-0142"),
    "dots": of(whatever="212.555.0142 / 4.3.2.1"),
    "full width": of(
        a="\uff14\uff13\uff12\uff11", b="\u0662\u0661\u0662\u0665\u0665\u0665\u0660\u0661\u0664\u0662"
    ),
    "base64": of(payload="NDMyMQ==", number="MjEyNTU1MDE0Mg=="),
    "hexadecimal": of(x="34333231", y="0x7EA8C91E"),
    "lists": of(values=["4321", ["2125550142"]]),
    "nested": of(job={"id": "2125550142", "account": "4321", "deep": [{"a": {"b": "4321"}}]}),
    "names": {"4321": "code", "to 212-555-0142": True, "NDMyMQ": None, "account": "acme", "country": "1"},
    "pairs": of(fields=[{"name": "code", "value": "4321"}, {"name": "phone", "value": "2125550142"}]),
    "own names": of(message="Your code is 4321", expires_at="2125550142", id="212-555-0142", ref="pin 4321"),
    "own names, ill-formed": of(id="call (212) 555 0142", exttype="4321", ext="4321"),
    "account": {"account": "202.555.0142", "id": "4321", "country": "4321"},
    "too short to mask": of(phone="43210", code="4321"),
    "numbers without quotes": of(
        id=4321, country=2125550142, message=4321, exttype=4321, expires_at=2125550142
    ),
    "a PIN as the country": of(country=4321),
    "grouped as an id": of(id="4-3-2-1"),
}


@pytest.mark.parametrize("wrap", ["fields", "json", "task", "text", "cut"])
@pytest.mark.parametrize("spelling", FOREIGN)
def test_a_letter_keeps_no_value_of_another_systems_field(
    client: redis.Redis, letters: RedisDeadLetters, spelling: str, wrap: str
) -> None:
    """The digits of a PIN or number are not kept, in any name, list, pair or notation (C8, E8)."""
    fields: Any = FOREIGN[spelling]
    text = json.dumps(fields)
    content: Any = {
        "fields": fields,
        "json": text.encode(),
        "task": json.dumps([[], fields, {}]).encode(),
        "text": f"job: {fields}".encode(),
        "cut": text.encode()[:-1],
    }[wrap]
    letters.bury("broken", Source.CELERY, content)
    shown = json.dumps(json.loads(stored(client))["content"], ensure_ascii=False)
    plain = unicodedata.normalize("NFKC", shown)
    runs = ["".join(str(unicodedata.digit(sign)) for sign in run) for run in re.findall(r"\d+", plain)]
    assert not [run for run in runs if len(run) > 1], shown
    for secret in ("NDMyMQ", "MjEyNTU1MDE0Mg", "34333231", "7EA8C91E"):
        assert secret not in shown
    assert "account" in shown and ("acme" in shown or spelling == "account")


def test_a_letter_keeps_a_jobs_own_harmless_fields(letters: RedisDeadLetters) -> None:
    """A value in the form of its field is kept as it came; of other values the operator sees the name (C8)."""
    given = JOB | {"id": "job_7", "country": 44, "message": "French", "expires_at": "2026-11-22T08:15:30Z"}
    letters.bury("broken", Source.STREAM, json.dumps(given | {"pinCode": "4321", "ext": "12"}).encode())
    (letter,) = letters.newest(1)
    hidden = {"phone": "******5555", "code": REDACTED, "pinCode": REDACTED, "ext": REDACTED}
    assert letter.content == given | hidden
    assert letter.size > 100 and not letter.sha256


def test_what_was_not_kept_must_be_given_again(letters: RedisDeadLetters) -> None:
    """A replay sends no stars: it takes what stands as it came and names the job's other fields (C8)."""
    letters.bury("broken", Source.STREAM, JOB | {"id": "job_7", "ext": "12", "otp": "4321"})
    letters.bury("broken", Source.STREAM, JOB | {"id": "2125550142", "ref": "order 7"})
    first, second = (to_send_again(letter.content) for letter in reversed(letters.newest(2)))
    whole = {"account": "acme", "country": "1"}
    assert first == (whole | {"id": "job_7", "ref": "hello"}, ["phone", "code", "ext"])
    assert second == (whole, ["phone", "code", "ref", "id"])
    assert to_send_again("no fields") == ({}, [])


@pytest.mark.parametrize(
    "job_id", ["job-7", "550e8400-e29b-41d4-a716-446655440000", "job_" + "9" * 31 + "a", "1" * 18]
)
def test_an_id_that_is_no_number_is_kept(letters: RedisDeadLetters, job_id: str) -> None:
    """The id is kept, so that the producer finds the job: UUIDs and long serial numbers are no phone numbers."""
    letters.bury("broken", Source.STREAM, of(id=job_id))
    assert letters.newest(1)[0].content["id"] == job_id


class _Hostile(dict[str, Any]):
    def items(self) -> Any:
        raise MemoryError("code=4321")


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b'{"id": ' + b"7" * 5000 + b"}",
        b'{"ref": "' + b"\\ud800" * 200 + b'"}',
        json.dumps({f"name-{n}": {str(n): n} for n in range(3000)}).encode(),
        json.dumps(["x" * 100] * 600).encode(),
        "\U0001f600".encode() * 16_000,
        b"code=" * 13_000,
        b"\x00" * 65_000,
        _Hostile(),
        {"a": object(), "b": {1, 2}, "c": float("nan"), 5: b"\xff"},
    ],
    ids=["deep", "deeper", "long", "surrogates", "wide", "list", "emoji", "labels", "zeros", "raises", "odd"],
)
def test_no_content_can_fail_a_burial(client: redis.Redis, letters: RedisDeadLetters, content: Any) -> None:
    """A message that comes back for ever stops its worker: what cannot be kept leaves reason, size and digest (E1)."""
    letters.bury("crashed its worker 3 times", Source.CELERY, content)
    (letter,) = letters.newest(9)
    assert letter.reason == "crashed its worker 3 times"
    assert client.strlen(keys.DEAD_BYTES) and len(stored(client)) < 9000
    assert not isinstance(content, bytes) or letter.size == len(content)


def test_what_cannot_be_kept_is_told_by_its_digest(letters: RedisDeadLetters) -> None:
    """An operator can compare it with what a producer has sent (E1)."""
    wide = {f"{'é' * 60}{sign}": {"é" * 64: 1} for sign in "abcdefghijklmnopqrstuvwxyz"}
    content = json.dumps(wide, ensure_ascii=False).encode()
    letters.bury("crashed its worker 3 times", Source.CELERY, content)
    (letter,) = letters.newest(1)
    assert (letter.content, letter.sha256) == (None, hashlib.sha256(content).hexdigest())


def test_letters_come_newest_first(letters: RedisDeadLetters) -> None:
    """An operator reads the newest letter first."""
    for reason in ("first", "second", "third"):
        letters.bury(reason, Source.CELERY, b"x")
    assert [letter.reason for letter in letters.newest(2)] == ["third", "second"]


def test_the_id_of_a_letter_can_be_told(letters: RedisDeadLetters) -> None:
    """No id looks like a phone number, which the audit trail would mask."""
    for n in range(200):
        letters.bury(f"letter {n}", Source.CELERY, b"{}")
    assert all(letter.id.isalpha() and scrub(letter.id) == letter.id for letter in letters.newest(200))


def test_a_letter_is_found_and_dropped_by_its_id(letters: RedisDeadLetters) -> None:
    """Dropping takes that one alone, once."""
    for reason in ("first", "second"):
        letters.bury(reason, Source.CELERY, b"x")
    first = letters.newest(2)[1]
    assert letters.find(first.id) == first
    assert letters.drop(first.id) and not letters.drop(first.id)
    assert letters.find(first.id) is None
    assert [letter.reason for letter in letters.newest(9)] == ["second"]


def test_the_oldest_letters_make_room(client: redis.Redis) -> None:
    """A flood of broken messages cannot fill the store."""
    letters = RedisDeadLetters(client, max_keep=3)
    for n in range(5):
        letters.bury(f"reason {n}", Source.CELERY, b"x")
    assert [letter.reason for letter in letters.newest(9)] == ["reason 4", "reason 3", "reason 2"]


def test_letters_are_bounded_in_bytes_together(client: redis.Redis) -> None:
    """The oldest go first, whatever the size of each; dropping one makes room for another (E8)."""
    letters = RedisDeadLetters(client, max_keep_bytes=2000)
    for n in range(20):
        letters.bury(f"reason {n}", Source.CELERY, b"x" * 100)
        assert counted(client) == stored_bytes(client) <= 2000
    kept = letters.newest(99)
    assert [letter.reason for letter in kept] == [f"reason {n}" for n in range(19, 19 - len(kept), -1)]
    assert letters.drop(kept[0].id)
    assert counted(client) == stored_bytes(client)


def test_letters_of_an_earlier_version_are_counted_once(client: redis.Redis) -> None:
    """A list without its count, and a count without its list, are put right by the next letter."""
    letters = RedisDeadLetters(client, max_keep_bytes=50_000)
    old = {"id": "1", "at": 1.0, "source": "celery", "reason": "old", "content": "x" * 1000, "more": 1}
    client.rpush(keys.DEAD, *[json.dumps(old | {"id": str(n)}) for n in range(200)])
    letters.bury("new", Source.CELERY, b"x")
    assert counted(client) == stored_bytes(client) <= 50_000
    assert [letter.id for letter in letters.newest(3)][1:] == ["0", "1"]
    client.delete(keys.DEAD)
    letters.bury("alone", Source.CELERY, b"x")
    assert counted(client) == stored_bytes(client)


def test_line_of_a_letter_names_the_job_if_its_id_is_known(letters: RedisDeadLetters) -> None:
    """The id under which it came, unless that may hide a number."""
    with capture_logs() as lines:
        letters.bury("broken", Source.CELERY, b"x", job_id="order-7")
        letters.bury("broken", Source.CELERY, b"x", job_id="2125550142")
        letters.bury("broken", Source.CELERY, b"x")
    assert [line.get("job_id") for line in lines] == ["order-7", None, None]


def test_a_key_of_another_type_loses_no_job(client: redis.Redis, letters: RedisDeadLetters) -> None:
    """The letter is reported in the log only, and `bury` returns, so that other messages are still handled."""
    client.set(keys.DEAD, "text")
    with capture_logs() as lines:
        letters.bury("broken", Source.CELERY, b"x")
    assert [line["event"] for line in lines] == ["key.wrong_type", "message.dead_and_not_kept"]
    assert client.get(keys.DEAD) == b"text" and not client.exists(keys.DEAD_BYTES)


def test_a_long_letter_is_cut(client: redis.Redis, letters: RedisDeadLetters) -> None:
    """A large unreadable message is kept in part."""
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


def test_a_message_of_which_only_a_part_is_at_hand_is_told_by_its_size(letters: RedisDeadLetters) -> None:
    """The beginning of what is too large, and its size; of what crashes its worker, size and digest alone (E1, E6)."""
    letters.bury("larger than 65536 bytes", Source.QUEUE, b'{"id": "a', Whole(8_000_000, "ab" * 32))
    letters.bury("crashed its worker 3 times", Source.QUEUE, b"", Whole(1234, "cd" * 32))
    crashed, large = letters.newest(2)
    assert (large.size, large.sha256) == (8_000_000, "") and large.content
    assert (crashed.size, crashed.sha256, crashed.content) == (1234, "cd" * 32, None)
