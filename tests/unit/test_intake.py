"""What came in is judged: to admit, to reject with reasons, or too broken to answer; never an error of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.samples import account, accounts
from worker.broker.amqp_properties import Undecoded
from worker.core.cancels import Cancel
from worker.core.jobs import Job
from worker.core.judging import (
    MAX_MARKS,
    MAX_MESSAGE_BYTES,
    Broken,
    Rejected,
    Submission,
    Valid,
    decode,
    judge,
    read_json,
)
from worker.core.records import Source

ACCOUNTS = accounts(account("acme", countries=["1", "44"]), account("globex"))
JOB: dict[str, Any] = {
    "id": "job-1",
    "account": "acme",
    "country": "1",
    "phone": "2125555555",
    "code": "4321",
}
OF_MESSAGE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OF_JOB = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def judged(default_id: str | None = None, **fields: Any) -> Valid | Rejected | Cancel | Broken:
    return judge(Submission(JOB | fields, Source.CELERY, default_id), ACCOUNTS)


class TestJudge:
    """One request."""

    def test_a_good_job_is_valid(self) -> None:
        """It comes with its account, and integers are written out."""
        assert judged(code=4321, phone=2125555555) == Valid(Job.parse(JOB), ACCOUNTS["acme"])

    def test_the_default_id_holds_where_none_is_given(self) -> None:
        """A Celery task's id is used only if the job has none."""
        for given_id, expected in ((None, "task-1"), ("job-1", "job-1")):
            verdict = judged("task-1", id=given_id)
            assert isinstance(verdict, Valid) and verdict.job.id == expected

    def test_trace_context_comes_from_the_job_or_else_from_the_headers(self) -> None:
        """Only where the worker traces; headers that are no text, or no context, are no error of the job."""
        headers: dict[str, Any] = {"traceparent": OF_MESSAGE, "tracestate": "a=1"}
        for fields, trace, expected in (
            ({}, headers, (OF_MESSAGE, "a=1")),
            ({"traceparent": None}, headers, (OF_MESSAGE, "a=1")),
            ({"traceparent": OF_JOB}, headers, (OF_JOB, None)),
            ({}, {"traceparent": Undecoded("F"), "tracestate": 7}, (None, None)),
            ({}, {"traceparent": "none"}, (None, None)),
        ):
            submission = Submission(JOB | fields, Source.CELERY, trace=trace)
            verdict = judge(submission, ACCOUNTS, traced=True)
            assert isinstance(verdict, Valid)
            assert (verdict.job.traceparent, verdict.job.tracestate) == expected
            assert judge(submission, ACCOUNTS) == Valid(Job.parse(JOB), ACCOUNTS["acme"])

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"id": None}, "id: is required"),
            ({"account": None}, "account: is required"),
            ({"id": "a b"}, "id: is not well-formed"),
            ({"id": "x" * 65}, "id: is not well-formed"),
            ({"id": 7}, "id: is not well-formed"),
            ({"account": {"a": 1}}, "account: is not well-formed"),
            ({"account": "ac me"}, "account: is not well-formed"),
        ],
    )
    def test_without_id_or_account_nobody_can_be_answered(self, fields: dict[str, Any], reason: str) -> None:
        """The reason names the field."""
        assert judged(**fields) == Broken(reason)

    @pytest.mark.parametrize(
        ("fields", "code", "wrong"),
        [
            ({"code": "0123"}, "INVALID_JOB", {"code"}),
            ({"phone": "+1 212"}, "INVALID_JOB", {"phone"}),
            ({"colour": "red", "message": "Klingon"}, "INVALID_JOB", {"colour", "message"}),
            ({"account": "initech"}, "UNKNOWN_ACCOUNT", {"account"}),
            ({"country": "49"}, "DESTINATION_BLOCKED", {"country"}),
        ],
    )
    def test_what_is_not_allowed_is_rejected(
        self, fields: dict[str, Any], code: str, wrong: set[str]
    ) -> None:
        """The rejection has the code and each wrong field."""
        verdict = judged(**fields)
        assert isinstance(verdict, Rejected)
        assert verdict.failure.code == code and set(verdict.failure.fields or ()) == wrong

    def test_a_rejection_tells_what_is_well_formed(self) -> None:
        """The subject carries note, country and masked phone as far as they are right, and no wrong value."""
        verdict = judged(code="no", ref="order 7")
        assert isinstance(verdict, Rejected)
        assert verdict.subject.note == "order 7" and verdict.subject.phone == "******5555"
        verdict = judged(phone="12", ref=["x"])
        assert isinstance(verdict, Rejected)
        assert verdict.subject.note is None and verdict.subject.phone is None

    def test_a_country_is_blocked_only_where_the_account_says_so(self) -> None:
        """An account without a list may dial anywhere."""
        assert isinstance(judged(account="globex", country="49"), Valid)

    @given(st.dictionaries(st.sampled_from([*JOB, "ext", "message", "ref", "expires_at", "x"]), json_values))
    def test_no_fields_break_it(self, fields: dict[str, Any]) -> None:
        """Any JSON ends in one of the three verdicts, and a rejection tells neither PIN nor number."""
        verdict = judge(Submission(JOB | fields, Source.STREAM), ACCOUNTS)
        assert isinstance(verdict, Valid | Rejected | Broken)
        if isinstance(verdict, Rejected) and "phone" not in fields and "code" not in fields:
            text = json.dumps([verdict.failure.as_dict(), verdict.subject.phone], default=str)
            assert "2125555555" not in text


class TestDecode:
    """Plain JSON."""

    def test_an_object_is_its_fields(self) -> None:
        """The fields are read from bytes and from text."""
        assert decode(json.dumps(JOB)) == decode(json.dumps(JOB).encode()) == JOB

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", "not valid JSON"),
            (b"{", "not valid JSON"),
            (b"\xff\xfe\xfd", "not valid JSON"),
            (b"[" * MAX_MARKS, "not valid JSON"),
            (b"[" * 60_000, f"more than {MAX_MARKS} lists, objects and names"),
            (b"[]", "not a JSON object"),
            (b"null", "not a JSON object"),
            (b'"text"', "not a JSON object"),
            (b" " * (MAX_MESSAGE_BYTES + 1), f"larger than {MAX_MESSAGE_BYTES} bytes"),
        ],
        ids=["empty", "cut", "bytes", "deep", "deeper", "array", "null", "text", "large"],
    )
    def test_anything_else_is_broken(self, body: bytes, reason: str) -> None:
        """Anything else is broken, and has the reason but not the body."""
        assert decode(body) == Broken(reason)

    @given(st.binary(max_size=200) | st.text(max_size=200))
    def test_no_bytes_break_it(self, body: bytes | str) -> None:
        """Any bytes end in fields or in a reason."""
        assert isinstance(decode(body), dict | Broken)


class TestRepeatedNames:
    """A reader must not choose between two numbers to ring, and two readers would choose differently."""

    @pytest.mark.parametrize(
        "name", ["country", "phone", "code", "ref", "message", "expires_at", "ext", "other"]
    )
    @pytest.mark.parametrize("second", ["2125550142", None, "same"])
    def test_a_field_given_twice_is_rejected(self, name: str, second: str | None) -> None:
        """A field given twice, even with the same value or null, is rejected with an event without the values (C9)."""
        fields = JOB | {name: JOB.get(name, "1")}
        repeated = json.dumps({name: fields[name] if second == "same" else second})[1:-1]
        given = decode(json.dumps(fields)[:-1] + f", {repeated}}}")
        assert not isinstance(given, Broken)
        verdict = judge(Submission(given, Source.STREAM), ACCOUNTS)
        assert isinstance(verdict, Rejected)
        assert verdict.failure.fields == {name: "occurs more than once"}
        assert "2125550142" not in repr(verdict)

    @pytest.mark.parametrize("name", ["id", "account"])
    def test_an_id_or_account_given_twice_is_a_dead_letter(self, name: str) -> None:
        """There is no telling whose job it is (C9)."""
        given = decode(json.dumps(JOB)[:-1] + f', "{name}": "job-2"}}')
        assert not isinstance(given, Broken)
        assert judge(Submission(given, Source.STREAM), ACCOUNTS) == Broken(f"{name}: occurs more than once")

    @pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": [Infinity]}', '{"a": -Infinity}', "9" * 5000])
    def test_what_no_json_has_is_refused(self, text: str) -> None:
        """Numbers that only Python knows, or that nobody can read, are no JSON to another reader."""
        assert decode(text) == Broken("not valid JSON")


class TestReadJson:
    """The quicker reader gives what `json.loads` gives."""

    @given(
        json_values.map(json.dumps)
        | st.text()
        | st.binary()
        | json_values.map(lambda v: json.dumps(v).encode())
    )
    def test_any_text_is_read_as_the_standard_library_reads_it(self, text: str | bytes) -> None:
        """The same value, or an error of the same kind."""
        assert outcome(read_json, text) == outcome(json.loads, text)

    @pytest.mark.parametrize(
        "text",
        [
            '"\\ud800"', '{"a":1,"a":2}', "[NaN,Infinity,-Infinity]", "1E400", "-0", "1" * 5000, "[" * 300 + "]" * 300,
            '"é"'.encode("utf-16"), b"\xef\xbb\xbf{}", '"a\x01"', "[1,]", "01", "123456789012345678901234567890",
            "0.1", "2.2250738585072011e-308", '"\\ud83d\\ude00"', "{1:2}", b'"\xff"', "",
        ],
    )  # fmt: skip
    def test_unusual_text_is_read_as_the_standard_library_reads_it(self, text: str | bytes) -> None:
        """Texts that the two parsers could read differently are read as by the standard library."""
        assert outcome(read_json, text) == outcome(json.loads, text)


def outcome(read: Callable[[Any], Any], text: str | bytes) -> str:
    """Return the outcome as text, because NaN is not equal to itself."""
    try:
        return repr(read(text))
    except (ValueError, RecursionError) as error:
        return f"raises {ValueError.__name__ if isinstance(error, ValueError) else type(error).__name__}"
