"""The log of requests, over HTTP and in Python."""

from __future__ import annotations

import json
from dataclasses import replace

from worker.sandbox import Sandbox, ServedRequest
from worker.sandbox.request_log import RequestLog, masked_key

from .sandbox_client import KEY, Client

RECORD = ServedRequest(
    unix=1_795_335_330.1239,
    call="telephonecall",
    method="POST",
    format="xml",
    key="****CDEF",
    country="1",
    phone="2025550199",
    note="order 7",
    answer="ref",
    rung=True,
    http_status=200,
    ref="97A677DD3E0A42B8EA58D93D05BAC89F",
)


def lines(body: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in body.splitlines()]


def test_record_is_one_line_with_its_time_in_utc() -> None:
    """The JSON line has every field, and the time to the millisecond."""
    line = json.loads(RECORD.as_json())
    assert line["time"] == "2026-11-22T08:15:30.123Z"
    assert line["unix"] == RECORD.unix
    assert (line["phone"], line["note"], line["rung"], line["http_status"]) == (
        "2025550199",
        "order 7",
        True,
        200,
    )


def test_log_lists_every_call_without_key_or_pin(client: Client) -> None:
    """Number and note are there, the key is cut to its end, and the PIN is nowhere."""
    client.call("2025550199", code="48151", ref="order 7")
    body = client.send("GET", "/_requests").body
    [line] = lines(body)
    assert (line["key"], line["phone"], line["note"]) == ("****CDEF", "2025550199", "order 7")
    assert b"48151" not in body and KEY.encode() not in body


def test_log_takes_in_all_three_calls_and_nothing_else(client: Client) -> None:
    """Status and balance are logged as not rung; unknown paths and the log itself are not logged."""
    for target in ("/balance.xml", "/telephonestatus.xml", "/telephonecall.xml", "/nothing", "/_requests"):
        client.send("GET", target)
    served = lines(client.send("GET", "/_requests").body)
    assert [line["call"] for line in served] == ["balance", "telephonestatus", "telephonecall"]
    assert not any(line["rung"] for line in served)


def test_log_can_be_filtered_and_cleared(client: Client, sandbox: Sandbox) -> None:
    """A phone picks its own requests, DELETE empties the log."""
    client.call("2025550101")
    client.call("2025550102")
    [line] = lines(client.send("GET", "/_requests?phone=2025550102").body)
    assert line["phone"] == "2025550102"
    assert [served.phone for served in sandbox.requests("2025550101")] == ["2025550101"]
    assert client.send("DELETE", "/_requests").status == 200
    assert client.send("GET", "/_requests").body == b""
    assert sandbox.requests() == []


def test_log_time_is_when_the_request_was_read() -> None:
    """The record carries the clock's value, not a later one."""
    with Sandbox(now=lambda: RECORD.unix) as sandbox:
        client = Client(sandbox)
        client.call("2025550199")
        client.close()
        assert [served.unix for served in sandbox.requests()] == [RECORD.unix]


def test_log_keeps_the_newest_records_only() -> None:
    """Beyond its limit the oldest record goes."""
    log = RequestLog(limit=2)
    for phone in ("1", "2", "3"):
        log.add(replace(RECORD, phone=phone))
    assert [record.phone for record in log.records()] == ["2", "3"]


def test_nonsense_values_are_cut_in_the_log(client: Client, sandbox: Sandbox) -> None:
    """A number of ten thousand digits does not stay in memory."""
    client.call("7" * 10_000)
    assert [len(served.phone) for served in sandbox.requests()] == [255]


def test_short_keys_are_masked_whole() -> None:
    """Four characters are shown only where more than they stay hidden."""
    assert [masked_key(key) for key in ("", "abcd", KEY)] == ["", "****", "****CDEF"]
