"""Jobs as the client checks them: by the same rules, and with the same words, as the worker."""

from __future__ import annotations

import json
import pickle
import traceback
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import worker.core.jobs as workers
from callworker.errors import InvalidJob
from callworker.job import Job, checked, checked_all

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "clients/cases/jobs.json").read_text(encoding="utf-8")
)
GOOD: dict[str, Any] = {
    "id": "job-1", "account": "acme", "country": "1", "phone": "2125550123", "code": "4711",
}  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["1", "44", "2125550123", "4711", 4711, 4711.0, "English", "Hindi", "1,2", "\ud800", [], {}]
    )
    | st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:[0-5]\d)", fullmatch=True)
)
required = st.fixed_dictionaries({name: st.just(value) | scalars for name, value in GOOD.items()})
names = st.sampled_from([*GOOD, "ext", "exttype", "message", "ref", "expires_at", "x", "x471"]) | st.text()


def outcome(check: Any, job: Any, *, extended: bool) -> Any:
    """Return what `check` returns, or the text and fields of the error that it raises."""
    try:
        return check(job, extended=extended)
    except ValueError as problem:
        return str(problem), getattr(problem, "fields", None)


def test_cases_have_names_of_their_own() -> None:
    """A client in another language names its tests after the cases."""
    assert len({case["name"] for case in CASES}) == len(CASES) > 200


def test_cases_are_judged_as_the_table_says() -> None:
    """The client and the worker agree with the table, and the worker reads what is sent as the job that was given."""
    for case in CASES:
        name, job, extended = case["name"], case["job"], case["extended"]
        told = outcome(checked, job, extended=extended)
        expected = outcome(workers.Job.parse, job, extended=extended)
        if case["valid"]:
            assert told == case["sent"], name
            assert expected == workers.Job.parse(told, extended=extended), name
        else:
            assert told == expected, name
            assert told[1] == case["fields"], name


@given(required, st.dictionaries(names, scalars, max_size=3), st.booleans())
def test_client_and_worker_agree_on_anything(
    fields: dict[str, Any], more: dict[str, Any], extended: bool
) -> None:
    """Whatever is given, both take it or both refuse it in the same words."""
    job = fields | more
    if job["id"] is None:
        job["id"] = "job-1"
    told = outcome(checked, job, extended=extended)
    expected = outcome(workers.Job.parse, job, extended=extended)
    if isinstance(told, dict):
        assert expected == workers.Job.parse(told, extended=extended)
    else:
        assert told == expected


def test_job_object_is_checked_as_its_fields() -> None:
    """A Job and a mapping of the same fields are sent alike, with integers as strings."""
    job = Job("acme", 1, 2125550123, 4711, id="job-1", ext=12, message="French", ref="a", expires_at=None)
    assert checked(job) == {**GOOD, "ext": "12", "message": "French", "ref": "a"}
    with pytest.raises(InvalidJob) as caught:
        checked(Job("acme", "+1", "2125550123", "04711", exttype=1))
    assert list(caught.value.fields) == ["country", "code", "exttype"]
    assert caught.value.code == "INVALID_JOB"


def test_missing_id_is_made_up() -> None:
    """Each job without an id gets another one, which the worker takes."""
    without = {name: value for name, value in GOOD.items() if name != "id"}
    ids = {checked(job)["id"] for job in (without, without | {"id": None}, Job("acme", "1", "12345", "100"))}
    assert len(ids) == 3
    assert all(workers.Job.parse(GOOD | {"id": made}) for made in ids)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 22, 8, 15, 30, tzinfo=UTC), "2026-11-22T08:15:30+00:00"),
        (
            datetime(2026, 11, 22, 8, 15, 30, 5, timezone(timedelta(hours=2))),
            "2026-11-22T06:15:30.000005+00:00",
        ),
    ],
)
def test_datetime_is_written_in_rfc_3339(moment: datetime, text: str) -> None:
    """A datetime with a time zone is sent as the moment that the worker reads."""
    assert checked(GOOD | {"expires_at": moment})["expires_at"] == text
    assert workers.Job.parse(GOOD | {"expires_at": text}).expires_at == moment


@pytest.mark.parametrize(
    "moment", [datetime(2026, 11, 22), datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))]
)
def test_datetime_that_is_no_moment_is_an_error(moment: datetime) -> None:
    """A datetime without a time zone could be any of 26 hours."""
    with pytest.raises(InvalidJob) as caught:
        checked(GOOD | {"expires_at": moment})
    assert list(caught.value.fields) == ["expires_at"]


def test_neither_repr_nor_error_shows_number_or_pin() -> None:
    """A job in a log line and an error with its traceback are safe by themselves."""
    job = Job("acme", "1", "+12125550123", "04711", id="job-1", ref="555-0199", ext="x471")
    with pytest.raises(InvalidJob) as caught:
        checked(job)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(job)
    assert not any(part in told for part in ("5550123", "04711", "555-0199", "x471"))


def test_trace_context_is_no_reason_to_refuse_a_job() -> None:
    """A context that is malformed is passed on, and one that is no string is an error."""
    assert checked(GOOD | {"traceparent": "broken"})["traceparent"] == "broken"
    with pytest.raises(InvalidJob, match="traceparent: must be a string"):
        checked(GOOD | {"traceparent": 7})


def test_error_survives_pickling() -> None:
    """An error that a process pool hands back has its fields."""
    with pytest.raises(InvalidJob) as caught:
        checked({})
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.fields, again.code) == (str(caught.value), caught.value.fields, "INVALID_JOB")


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ({"id": "job-7"}, "job 1 (job-7) is not valid: "),
        ({"id": "+1 212"}, "job 1 is not valid: "),
        (Job("acme", "+1", "12345", "100", id="job-7"), "job 1 (job-7) is not valid: "),
        (7, "job 1 is not valid: job: must be an object"),
    ],
)
def test_wrong_job_of_many_is_told_by_its_place(job: Any, name: str) -> None:
    """Its id helps to find it too, unless that could be a number with signs."""
    with pytest.raises(InvalidJob) as caught:
        checked_all([GOOD, job, GOOD], checked)
    assert str(caught.value).startswith(name)
