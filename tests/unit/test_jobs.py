"""Jobs: what the contract allows, and that errors name the fields and never their values."""

from __future__ import annotations

import json
import re
import traceback
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.jobs import EXTENDED_LANGUAGES, LANGUAGES, Job, mask
from worker.errors import InvalidJob

GOOD: dict[str, Any] = {
    "id": "job-1",
    "account": "acme",
    "country": "1",
    "phone": "2125555555",
    "code": "7391",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(), child, max_size=3),
    max_leaves=5,
)
CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
names = st.sampled_from([*Job.model_fields, "x", "job"]) | st.text()

good_jobs = st.fixed_dictionaries(
    {
        "id": st.from_regex(r"[A-Za-z0-9_:-]{1,64}", fullmatch=True),
        "account": st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
        "country": st.from_regex(r"[1-9][0-9]{0,2}", fullmatch=True),
        "phone": st.from_regex(r"[0-9]{5,15}", fullmatch=True),
        "code": st.from_regex(r"[1-9][0-9]{2,4}", fullmatch=True),
    },
    optional={
        "ext": st.from_regex(r"[0-9]{1,20}", fullmatch=True),
        "message": st.sampled_from(LANGUAGES),
        "ref": st.text(st.characters(exclude_categories=["Cs"]), max_size=255),
        "expires_at": st.datetimes(
            min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)
        ).map(datetime.isoformat),
        "traceparent": st.just(CONTEXT) | st.text(),
    },
)


def errors(**changes: object) -> dict[str, str]:
    """The field errors of a good job with `changes`."""
    with pytest.raises(InvalidJob) as problem:
        Job.parse(GOOD | changes)
    assert problem.value.code == "INVALID_JOB"
    return problem.value.fields


def parsed(**changes: object) -> Job:
    return Job.parse(GOOD | changes)


@given(good_jobs)
def test_good_job_is_unpacked_as_it_was(fields: dict[str, Any]) -> None:
    """A job stored in the ledger is read back as the same job, also in the form of an earlier version."""
    job = Job.parse(fields)
    assert Job.unpacked(job.id, job.account, job.packed()) == job
    assert Job.unpacked(job.id, job.account, job.packed().encode()) == job
    assert Job.unpacked(job.id, job.account, job.model_dump_json(exclude_none=True)) == job


def test_job_is_packed_without_what_need_not_be_said() -> None:
    """Ids and accounts are known, and so are defaults; digits stay digits, as a number may begin with zeros."""
    assert parsed(phone="0021255555").packed() == '["1","0021255555","7391"]'
    assert parsed(ref=None, message="English").packed() == '["1","2125555555","7391"]'
    assert parsed(ref="é", ext="7").packed() == '["1","2125555555","7391","é",null,null,"7"]'
    traced = parsed(traceparent=CONTEXT, tracestate="a=1")
    assert traced.packed() == f'["1","2125555555","7391"]\n{CONTEXT} a=1'
    assert parsed(tracestate="a=1").packed() == '["1","2125555555","7391"]'
    late = parsed(expires_at="2026-11-22T08:15:30.000001Z").packed()
    assert late == '["1","2125555555","7391",null,null,1795335330000001]'


@pytest.mark.parametrize(
    "text",
    [
        "", "7", "null", '"x"', "[]", '["1","2125555555"]', '["1","2125555555",true]', '["1","2125555555","0"]',
        '["1","2125555555","7391",null,null,1e99]', '["1","2125555555","7391",null,null,"soon"]',
        '["1","2125555555","7391",null,null,null,null,null,null,null,"newer"]',
        '{"id":"job-1","newer":1}',
    ],
)  # fmt: skip
def test_what_is_no_packed_job_is_refused(text: str) -> None:
    """A text that is no packed job raises one of the errors for which the ledger leaves the record to other workers."""
    with pytest.raises((ValueError, TypeError, OverflowError)):
        Job.unpacked("job-1", "acme", text)


@given(st.dictionaries(names, json_values))
def test_any_fields_are_a_job_or_invalid(fields: dict[str, Any]) -> None:
    """No JSON object ends in another exception; its errors can be published as JSON and as one line."""
    try:
        Job.parse(fields)
    except InvalidJob as error:
        assert error.fields and json.dumps(error.fields).encode()
        assert "\n" not in str(error) and str(error).isprintable()


@given(json_values)
def test_any_json_is_a_job_or_invalid(value: Any) -> None:
    """A producer may send something that is no object at all."""
    try:
        Job.parse(value)
    except InvalidJob as error:
        assert error.fields


@given(good_jobs, st.sampled_from(sorted(GOOD)), json_values)
def test_one_wrong_field_is_the_one_named(fields: dict[str, Any], name: str, value: Any) -> None:
    """Others are not blamed."""
    try:
        Job.parse(fields | {name: value})
    except InvalidJob as error:
        assert set(error.fields) == {name}


@given(
    st.from_regex(r"[0-9]{16,30}|[0-9]{5,14}[x -]", fullmatch=True),
    st.from_regex(r"0[0-9]{3,4}|[0-9]{6,9}|[0-9]{4}[a-z]", fullmatch=True),
)
def test_values_of_phone_and_code_are_in_no_error(phone: str, code: str) -> None:
    """The values are not in the fields' errors, the message, the repr or the rendered chain of exceptions."""
    with pytest.raises(InvalidJob) as caught:
        Job.parse(GOOD | {"phone": phone, "code": code})
    problem = caught.value
    frames = "".join(traceback.format_exception(problem))
    for text in (str(problem), repr(problem), str(problem.fields), frames):
        assert phone not in text and code not in text


@given(good_jobs)
def test_repr_shows_neither_pin_nor_phone(fields: dict[str, Any]) -> None:
    """A job in a log line or traceback is safe by itself."""
    fields = fields | {"id": "job", "account": "acme", "country": "1"}
    fields.pop("expires_at", None)
    for text in (repr(Job.parse(fields)), str(Job.parse(fields))):
        assert not re.findall(r"\d{2,}", text)


def test_null_counts_as_absent() -> None:
    """Null counts as absent, because many languages write it for a field that is not set."""
    assert parsed(ext=None, ref=None, message=None, expires_at=None) == parsed()
    assert errors(code=None) == {"code": "is required"}


def test_missing_fields_are_all_named() -> None:
    """The error names all of them, not only the first."""
    with pytest.raises(InvalidJob) as problem:
        Job.parse({})
    assert set(problem.value.fields) == set(GOOD)


def test_unknown_field_is_an_error_that_names_it() -> None:
    """A misspelled `expires_at` must not mean: never."""
    assert errors(expires="2026-11-22T08:15:30Z") == {"expires": "is not a field of a job"}


@pytest.mark.parametrize(
    "name",
    [
        "a\n\x1b\ud800é",
        "x" * 41,
        "2125550123",
        "code 4711",
        "x4711",
        "+1-212-555-0123",
        "٤٧١١",
        "4711",
        "",
        "müller",
    ],
)
def test_foreign_name_that_is_none_of_a_field_is_told_by_its_place(name: str) -> None:
    """It goes into an event and into lines, and may be a PIN, a number or an escape sequence. It was repeated before,
    cut to 64 signs, which still showed a number whole (E11)."""
    place = len(GOOD) + 1
    assert errors(**{name: 1}) == {f"field {place}": "is not a field of a job"}


def test_only_the_first_of_many_foreign_names_are_told() -> None:
    """A message of thousands of unknown fields makes no event of their size; what is wrong with ours is always told."""
    told = errors(phone="x", **{f"{first}{second}": 1 for first in "abcdefgh" for second in "abcdefgh"})
    assert len(told) == 32
    assert "phone" in told


@pytest.mark.parametrize(
    "text",
    [
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59-00:00",
        "2200-01-01T00:00:00.000001Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
    ],
)
def test_time_beyond_the_span_counts_as_its_end(text: str) -> None:
    """A time that no double holds to the microsecond counts as 2200 or 2000 (C6)."""
    expires_at = parsed(expires_at=text).expires_at
    assert expires_at == (
        datetime(2200, 1, 1, tzinfo=UTC) if text > "2100" else datetime(2000, 1, 1, tzinfo=UTC)
    )


@given(
    moment=st.datetimes(),
    second=st.sampled_from(["", ":60"]),
    fraction=st.from_regex(r"(\.[0-9]{1,12})?", fullmatch=True),
    offset=st.from_regex(r"[Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9]", fullmatch=True),
)
def test_any_time_is_one_that_can_be_kept_or_an_error(
    moment: datetime, second: str, fraction: str, offset: str
) -> None:
    """Whatever RFC 3339 can spell is a moment between 2000 and 2200 that comes back from the record as it went, or,
    where no calendar has it in UTC, an error of the field (C6)."""
    text = moment.isoformat(timespec="seconds")
    try:
        job = parsed(expires_at=f"{text[:16]}{second or text[16:]}{fraction}{offset}")
    except InvalidJob as error:
        assert set(error.fields) == {"expires_at"}
        assert moment.year in (1, 9999)
        return
    assert job.expires_at is not None
    assert datetime(2000, 1, 1, tzinfo=UTC) <= job.expires_at <= datetime(2200, 1, 1, tzinfo=UTC)
    assert Job.unpacked(job.id, job.account, job.packed()).expires_at == job.expires_at


def test_leap_second_and_nanoseconds_are_read() -> None:
    """RFC 3339 knows a second 60, and any number of digits behind the point (C6)."""
    assert parsed(expires_at="2016-12-31T23:59:60.5Z").expires_at == datetime(
        2017, 1, 1, 0, 0, 0, 500_000, UTC
    )
    assert parsed(expires_at="2026-11-22T08:15:30.123456789Z").expires_at == datetime(
        2026, 11, 22, 8, 15, 30, 123_456, UTC
    )


@pytest.mark.parametrize(("name", "value"), [("country", 44), ("phone", 2125555555), ("code", 7391)])
def test_integers_are_taken_where_the_contract_says(name: str, value: int) -> None:
    """An integer counts as its digits."""
    assert getattr(parsed(**{name: value}), name) == str(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", ""), ("id", "x" * 65), ("id", "a b"), ("id", "job-1\n"), ("id", 1), ("id", "é"),
        ("account", ""), ("account", 1),
        ("country", "0"), ("country", "1234"), ("country", "+1"), ("country", True), ("country", 1.0),
        ("phone", "212-555-5555"), ("phone", "+12125555555"), ("phone", "٢١٢٥٥٥٥٥٥٥"), ("phone", "1234"),
        ("phone", -2125555555), ("phone", 10**400), ("phone", "2125555555\n"),
        ("code", "0123"), ("code", "99"), ("code", 99), ("code", "100000"), ("code", 100000), ("code", 1234.0),
        ("code", ["1234"]), ("code", True),
        ("ext", "1,2"), ("ext", ""), ("ext", "1" * 21), ("ext", True),
        ("message", "Klingon"), ("message", "english"), ("message", "Arabic"), ("message", []),
        ("ref", "x" * 256), ("ref", 1), ("ref", "\ud800"),
        ("exttype", "1"),
        ("expires_at", "tomorrow"), ("expires_at", 1763799330), ("expires_at", "2026-11-22T08:15:30"),
        ("expires_at", "2026-11-22"), ("expires_at", "2026-13-22T08:15:30Z"), ("expires_at", ""),
        ("expires_at", "0001-01-01T00:00:00+23:59"), ("expires_at", datetime(2026, 11, 22)),
        ("expires_at", datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))),
    ],
)  # fmt: skip
def test_value_outside_the_rules_is_an_error_of_its_field(name: str, value: object) -> None:
    """Each wrong field has one error."""
    assert set(errors(**{name: value})) == {name}


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T08:15:30Z",
        "2026-11-22t08:15:30.000z",
        "2026-11-22T10:15:30+02:00",
        "2026-11-22 03:15:30.0-05:00",
    ],
)
def test_expiry_is_any_rfc3339_time(text: str) -> None:
    """A time with any offset is read as one moment in UTC."""
    assert parsed(expires_at=text).expires_at == datetime(2026, 11, 22, 8, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize("code", ["100", "99999", 100, 99999])
def test_pin_at_its_bounds_is_taken(code: object) -> None:
    """PINs from 100 to 99999 are taken."""
    assert parsed(code=code).code == str(code)


def test_extended_takes_what_the_older_page_allows() -> None:
    """Commas in `ext`, `exttype`, six more languages: only when switched on, then in the ledger too."""
    for language in EXTENDED_LANGUAGES:
        fields = GOOD | {"ext": "1,,2", "exttype": 2, "message": language}
        job = Job.parse(fields, extended=True)
        assert (job.ext, job.exttype, job.message) == ("1,,2", "2", language)
        assert Job.unpacked(job.id, job.account, job.packed()) == job
        with pytest.raises(InvalidJob) as problem:
            Job.parse(fields)
        assert set(problem.value.fields) == {"ext", "exttype", "message"}


@pytest.mark.parametrize("kind", [1.0, True, "3", "1.0", [1], 0])
def test_extension_type_is_one_or_two(kind: object) -> None:
    """Nothing that merely equals 1 in Python is taken."""
    with pytest.raises(InvalidJob, match="exttype"):
        Job.parse(GOOD | {"exttype": kind}, extended=True)


@given(st.from_regex(r"[0-9]{5,15}", fullmatch=True))
def test_mask_shows_the_last_four_digits_alone(phone: str) -> None:
    """The mask is as long as the number: stars, and its last four digits."""
    assert mask(phone) == "*" * (len(phone) - 4) + phone[-4:]


def test_mask_as_in_the_contract() -> None:
    """The mask of the contract's example is made."""
    assert mask("2125555555") == "******5555"


@pytest.mark.parametrize(("name", "texts"), [("traceparent", ["none", ""]), ("tracestate", ["", "x" * 513])])
def test_text_that_is_no_trace_context_is_ignored(name: str, texts: list[str]) -> None:
    """The job is valid without it; a value that is no text is an error, as in other fields."""
    for text in (*texts, "\ud800", "é", "\n"):
        assert parsed(**{name: text}) == parsed()
    values: list[object] = [1, True, ["00"], {}]
    for value in values:
        assert errors(**{name: value}) == {name: "must be a string"}
