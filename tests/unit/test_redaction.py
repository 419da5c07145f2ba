"""What no log line may show at any place, and what redaction must leave alone."""

from __future__ import annotations

import base64
import json
import pickle
import re
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.jobs import Job
from worker.privacy.harmless import harmless
from worker.privacy.labelled import REDACTED, masked
from worker.privacy.redaction import Redactor
from worker.privacy.scrubbing import scrub

KEY = "8f3a61c09b7d4e52a1c6f0d97be3425d"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

phones = st.from_regex(r"[0-9]{7,15}", fullmatch=True)
pins = st.from_regex(r"[1-9][0-9]{2,4}", fullmatch=True)
fields = st.fixed_dictionaries(
    {
        "id": st.just("job-x"),
        "account": st.just("acme"),
        "country": st.sampled_from(["1", "44"]),  # shorter than any PIN
        "phone": phones,
        "code": pins,
        "ref": st.just("note"),
    }
)
keys = st.binary(min_size=16, max_size=16).map(bytes.hex)

SPELLINGS: dict[str, Callable[[dict[str, Any]], object]] = {
    "dict": lambda job: job,
    "numbers": lambda job: job | {"code": int(job["code"]), "phone": int("9" + job["phone"][1:])},
    "json": json.dumps,
    "json with spaces": lambda job: json.dumps(job, indent=2),
    "json in json": lambda job: json.dumps({"text": json.dumps(job)}),
    "repr": repr,
    "repr in repr": lambda job: repr([repr(job)]),
    "form": urlencode,
    "quoted form": lambda job: urlencode({"next": urlencode(job)}),
    "quoted json": lambda job: urlencode({"x": json.dumps(job)}),
    "url": lambda job: f"https://api.example.com/telephonecall.xml?{urlencode(job)}",
    "bytes": lambda job: json.dumps(job).encode(),
    "repr of bytes": lambda job: repr(json.dumps(job).encode()),
    "base64": lambda job: base64.b64encode(json.dumps(job).encode()).decode(),
    "pickle": pickle.dumps,
    "repr of a pickle": lambda job: repr(pickle.dumps(job)),
    "pairs": lambda job: list(job.items()),
    "repr of pairs": lambda job: repr(list(job.items())),
    "flat list": lambda job: [part for pair in job.items() for part in pair],
    "repr of a flat list": lambda job: repr([part for pair in job.items() for part in pair]),
    "query lists": lambda job: {name: [value] for name, value in job.items()},
    "repr of query lists": lambda job: repr({name: [value] for name, value in job.items()}),
    "xml": lambda job: "".join(f"<{name}>{value}</{name}>" for name, value in job.items()),
    "flags": lambda job: " ".join(f"--{name} {value}" for name, value in job.items()),
    "kwargs": lambda job: f"verify(*(), **kwargs) kwargs={job!r}",
    "positional": lambda job: f"args: ({job['phone']!r}, {job['code']!r}) kwargs: {{}}",
    "exception": ValueError,
    "exception text": lambda job: RuntimeError(f"bad job {job}"),
    "set": lambda job: {json.dumps(job)},
    "pydantic": Job.parse,
    "validation error": lambda job: (
        f"1 validation error for Job\ncode\n  wrong [type=rule, input_value={job['code']!r}, input_type=str]\n"
        f"    call {job['phone']}"
    ),
    "prose": lambda job: f"calling {job['phone']} with PIN {job['code']}, the code is {job['code']}.",
    "celery dump": lambda job: (
        "Received and deleted unknown message.\n\nThe full contents of the message body was: "
        f"body: {json.dumps([[job['phone'], job['code']], {}, {}])} (99b)"
    ),
    "celery headers": lambda job: repr({"task": "calls.verify", "kwargsrepr": repr(job), "argsrepr": "()"}),
}


SECRETS = st.lists(st.text("abcd", min_size=4, max_size=9), min_size=1, max_size=8)


@given(secrets=SECRETS, parts=st.lists(st.text("abcde ", max_size=12), max_size=4), data=st.data())
def test_no_secret_stays_in_a_text(secrets: list[str], parts: list[str], data: st.DataObject) -> None:
    """Whatever stands before, after and within it, and however many others are registered."""
    redactor = Redactor()
    for secret in secrets:
        redactor.register(secret)
    text = "".join(part for word in parts for part in (word, data.draw(st.sampled_from(secrets))))
    shown = redactor.text(text)
    assert not any(secret in shown.replace(REDACTED, " ") for secret in secrets)


def test_secrets_that_overlap_are_hidden_as_one() -> None:
    """What is left of the one would tell of the other."""
    redactor = Redactor()
    for secret in ("tulip-rose", "rose-violet", "rose"):
        redactor.register(secret)
    assert redactor.text("a tulip-rose-violet garden") == f"a {REDACTED} garden"


def line(redactor: Redactor, **values: object) -> str:
    """The line as it would be rendered."""
    return json.dumps(redactor(None, "info", {"event": "x.y", **values}))


def standing_alone(number: str, text: str) -> bool:
    """True where `text` holds `number` and not merely inside a longer run of digits."""
    at = text.find(number)
    while at >= 0:
        around = text[max(at - 1, 0) : at] + text[at + len(number) : at + len(number) + 1]
        if not any(sign.isdigit() for sign in around):
            return True
        at = text.find(number, at + 1)
    return False


def assert_safe(text: str, job: dict[str, Any]) -> None:
    assert job["phone"] not in text and "9" + job["phone"][1:] not in text, text
    stars = text.replace("*" + job["phone"][-4:], "")
    assert not standing_alone(job["code"], stars), text


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(job=fields)
def test_job_in_any_spelling_shows_neither_pin_nor_phone(spelling: str, job: dict[str, Any]) -> None:
    """However a job is written out, under whatever field name, its PIN and number are gone."""
    assert_safe(line(Redactor(), detail=SPELLINGS[spelling](job)), job)
    assert_safe(line(Redactor(), event=str(SPELLINGS[spelling](job))), job)


def _nested(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["a", "items", "detail", "error", "kwargs", "x-y"])
    return (
        st.lists(children, min_size=1, max_size=3)
        | st.dictionaries(names, children, min_size=1, max_size=3)
        | st.tuples(children, children)
        | children.map(lambda child: json.dumps(child, default=repr))
        | children.map(ValueError)
    )


@given(st.data(), fields)
def test_job_nested_anywhere_shows_neither_pin_nor_phone(data: st.DataObject, job: dict[str, Any]) -> None:
    """Depth and mixture of containers, texts and exceptions do not matter."""
    leaves = st.sampled_from([job, json.dumps(job), repr(job), urlencode(job)])
    assert_safe(line(Redactor(), detail=data.draw(st.recursive(leaves, _nested, max_leaves=8))), job)


@given(fields)
def test_traceback_shows_neither_pin_nor_phone(job: dict[str, Any]) -> None:
    """A chain of exceptions with the job in arguments, notes and locals renders without them."""

    def fail(kwargs: dict[str, Any]) -> None:
        try:
            raise KeyError(kwargs["phone"])
        except KeyError as error:
            error.add_note(f"code={kwargs['code']}")
            raise ValueError(kwargs) from error

    try:
        fail(job)
    except ValueError as error:
        text = "".join(traceback.format_exception(error))
    assert job["phone"] in text
    shown = line(Redactor(), exception=text)
    assert_safe(re.sub(r"line \d+", "line N", shown), job)  # a PIN may be the number of a line


@given(
    keys, st.sampled_from(["{}", "key {}", "x{}y", "https://h/{}/z", "Bearer {}", "'{}'", '{{"a": "{}"}}'])
)
def test_registered_key_is_hidden_in_any_text(key: str, frame: str) -> None:
    """A secret that was registered disappears without any label, from names too."""
    redactor = Redactor()
    redactor.register(key)
    text = line(redactor, event=frame.format(key), job=key, nested=[{key: (frame.format(key).encode(),)}])
    assert key not in text


@pytest.mark.parametrize(
    "form",
    [
        WEBHOOK_SECRET,
        WEBHOOK_SECRET.removeprefix("whsec_"),
        base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_")).hex(),
        repr(base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_")))[2:-1],
        base64.b64encode(WEBHOOK_SECRET.encode()).decode().rstrip("="),
    ],
)
def test_webhook_secret_is_hidden_in_each_of_its_forms(form: str) -> None:
    """A webhook secret is hidden as text, without its prefix, decoded, in hex, and in base64 again."""
    redactor = Redactor()
    redactor.register(WEBHOOK_SECRET)
    assert redactor.text(f"signed with {form}!") == f"signed with {REDACTED}!"


def test_private_key_of_signatures_is_hidden_in_its_forms_too() -> None:
    """A `whsk_…` key as a `whsec_…` secret."""
    redactor, bare = Redactor(), WEBHOOK_SECRET.removeprefix("whsec_")
    redactor.register(f"whsk_{bare}")
    for form in (f"whsk_{bare}", bare, base64.b64decode(bare).hex()):
        assert redactor.text(f"signed with {form}!") == f"signed with {REDACTED}!"


@pytest.mark.parametrize("prefix", ["whsec_", "whsk_"])
def test_dead_letter_keeps_no_secret_of_webhooks(prefix: str) -> None:
    """A message in which somebody pasted one is kept without it, as fields and as text."""
    secret = prefix + WEBHOOK_SECRET.removeprefix("whsec_")
    assert secret[8:] not in str(harmless({"id": "a", "note": f"see {secret}"}))
    assert secret[8:] not in str(harmless(f"see {secret} there".encode()))


def test_secret_inside_another_is_hidden_whole() -> None:
    """The longer of two registered secrets is taken first, so that no tail of it stays."""
    redactor = Redactor()
    redactor.register("abcdef")
    redactor.register("abcdef-and-more")
    assert redactor.text("abcdef-and-more abcdef") == f"{REDACTED} {REDACTED}"


@pytest.mark.parametrize("secret", ["", "  ", "abc"])
def test_secret_too_short_to_be_one_changes_nothing(secret: str) -> None:
    """An empty or three-letter secret would hide half of every line."""
    redactor = Redactor()
    redactor.register(secret)
    assert redactor.text("abcdef in the alphabet") == "abcdef in the alphabet"


@pytest.mark.parametrize(
    "name",
    [
        "code",
        "pin",
        "key",
        "api_key",
        "API-Key",
        "secret",
        "client_secret",
        "password",
        "access_token",
        "Authorization",
        "Proxy-Authorization",
        "kwargs",
        "args",
        "body",
        "cookie",
        "ACME_PROXSTOP_KEY",
    ],
)
def test_value_under_a_secret_name_is_hidden(name: str) -> None:
    """A value of any type is hidden because of its field's name alone."""
    for value in ("tulip", 1234, b"tulip", ["tulip"], {"a": "tulip"}):
        assert Redactor().field(name, value) == REDACTED


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://user:p%40ss@host:5672//", "amqp://user:[redacted]@host:5672//"),
        ("redis://:pass@word@host/0", "redis://:[redacted]@host/0"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: [redacted]"),
        ("sent whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD ok", "sent [redacted] ok"),
        ("sent whsk_C2FVsBQIhrscChlQIMV+b5sSYspob7oD ok", "sent [redacted] ok"),
        ("sent whpk_C2FVsBQIhrscChlQIMV+b5sSYspob7oD ok", "sent whpk_C2FVsBQIhrscChlQIMV+b5sSYspob7oD ok"),
        ("--api-key=tulip", "--api-key=[redacted]"),
        ('{"api_key": "tu\\"lip", "a": 1}', '{"api_key": "[redacted]", "a": 1}'),
        ("phone=+12125555555", "phone=+*******5555"),
        ("call +1 (212) 555-5555 now", "call *******5555 now"),
        ("'code', 'phone', '1234'", "'code', 'phone', '[redacted]'"),
        ('{"code": "12', '{"code": "[redacted]'),
        ('Unknown key: "x code=1234"', 'Unknown key: "x code=[redacted]"'),
    ],
)
def test_text_is_scrubbed_as_shown(text: str, shown: str) -> None:
    """Examples of what a reader of the log sees instead."""
    assert scrub(text) == shown


ORDINARY = [
    "call.placed",
    "Connected to redis://127.0.0.1:6379/0",
    "Connected to amqp://guest@127.0.0.1:5672//",
    "http://localhost:8080/a@b",
    "Task calls.verify[20261122083015] succeeded in 0.00012345600014552474s: None",
    "ref 97A677DD3E0A42B8EA58D93D05BAC89F of 550e8400-e29b-41d4-a716-446655440000",
    "process exited with exit code 137, pid 1234567",
    "HTTP status code 503, error code: 5, reply-code 320",
    "Unknown key: color; routing_key='calls.intake'",
    '{"error":{"code":"INVALID_TELEPHONE","message":"The number is not valid."}}',
    "<failed><error_code>NO_POINTS</error_code></failed>",
    "<Thread(releaser, started daemon)> at 0x7f2212345678",
    "2026-11-22T08:15:30.123Z 1763799330.123 1763799330123-0",
    "missing 2 fields: 'phone', 'code'",
    "OSError: [Errno 111] Connection refused; retrying in 1.5 seconds (3/100)",
    "phone='******5555'",
    "    return self.place(code=code, key=key, **kwargs)",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_untouched(text: str) -> None:
    """Ports, refs, ids, durations, addresses and error codes are what an operator needs."""
    assert Redactor().text(text) == text


def test_ordinary_line_is_untouched() -> None:
    """Numbers, flags and known fields pass as they are, a long number of an id or a time too."""
    values = {
        "event": "call.placed",
        "job": "20261122083015",
        "job_id": "20261122083015",
        "account": "acme",
        "accounts_file": "9b82592512d261ac",
        "timestamp": "2026-11-22T08:15:30.123Z",
        "attempts": 3,
        "seconds": 1.25,
        "until_us": 1763799330123456,
        "memory_bytes": 123456789,
        "pid": 4194303,
        "probe": True,
        "ref": None,
        "error_code": "NO_POINTS",
        "nested": {"port": 6379, "list": [1, 2]},
    }
    assert Redactor()(None, "info", dict(values)) == values


@given(st.text())
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    """The replacement of a secret is not itself taken for one."""
    once = scrub(text)
    assert scrub(once) == once


@given(fields, st.sampled_from(sorted(SPELLINGS)))
def test_scrubbing_a_job_twice_changes_nothing_more(job: dict[str, Any], spelling: str) -> None:
    """The same for texts that do hold secrets."""
    once = scrub(str(SPELLINGS[spelling](job)))
    assert scrub(once) == once


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda child: st.lists(child) | st.dictionaries(st.text() | st.integers() | st.binary(), child),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1), anything))
def test_line_of_anything_becomes_strict_json(values: dict[str, Any]) -> None:
    """Whatever is logged can be rendered, and read again by a parser that knows no NaN."""
    own = {name for name in values if name.startswith("_")}
    safe = Redactor()(None, "info", {name: value for name, value in values.items() if name not in own})
    json.loads(json.dumps(safe, allow_nan=False))


class _Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("code=1234")


def test_object_that_cannot_be_printed_does_not_raise() -> None:
    """A foreign __repr__ may fail, the line comes out all the same."""
    assert Redactor().field("x", [_Hostile(), 1]) == ["[unprintable]", 1]


def test_structure_that_holds_itself_ends() -> None:
    """A list within itself is cut at some depth."""
    loop: list[object] = []
    loop.append(loop)
    assert "[too deep]" in json.dumps(Redactor().field("x", loop))


def test_structlog_own_fields_pass() -> None:
    """`_record` is for the formatter; it is never rendered."""
    record = object()
    assert Redactor()(None, "info", {"_record": record})["_record"] is record


def test_time_is_rfc3339() -> None:
    """A datetime is shown as every other time."""
    assert Redactor().field("until", datetime(2026, 11, 22, tzinfo=UTC)) == "2026-11-22T00:00:00+00:00"


@given(phones)
def test_mask_keeps_four_digits_and_is_stable(phone: str) -> None:
    """Masked twice is masked once; a number too short to mask is hidden whole."""
    assert masked(phone)[-4:] == phone[-4:] and masked(phone).count("*") == len(phone) - 4
    assert masked(masked(phone)) == masked(phone)
    assert masked(phone[:4]) == REDACTED


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "sign", ["-", "--a", "'", "\\", "a_", "1", "+1 ", "key=", "\n", " ", "code ", "body: ", "0."]
)
def test_scrubbing_a_long_text_ends(sign: str) -> None:
    """A long text that almost matches a pattern, as a hostile answer may be, does not take minutes."""
    assert "1234" not in scrub(sign * 100_000 + " code=1234")
