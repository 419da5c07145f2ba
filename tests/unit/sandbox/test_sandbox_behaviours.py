"""Every row of the contract's table, seen through real connections."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from worker.sandbox import Sandbox

from .sandbox_client import Client, RecordedSleep, open_call

REF = re.compile(r"[0-9A-F]{32}")


def test_an_ordinary_number_gets_a_new_ref_each_time(client: Client) -> None:
    """Two calls end in two different refs of 32 hexadecimal characters."""
    refs = [client.call("2025550199").content["response"]["ref"] for _ in range(2)]
    assert all(REF.fullmatch(ref) for ref in refs)
    assert refs[0] != refs[1]


@pytest.mark.parametrize(
    ("ending", "error_code"),
    [("0001", "INVALID_TELEPHONE"), ("0008", "NO_POINTS"), ("0012", "CARRIER_SUSPENDED")],
)
def test_refusing_numbers_fail_with_status_200(client: Client, ending: str, error_code: str) -> None:
    """A refusal is a failed body with code and message under HTTP 200."""
    answer = client.call(f"202555{ending}")
    assert (answer.status, answer.error_code) == (200, error_code)
    assert answer.content["failed"]["error_msg"]


def test_0002_answers_503_twice_for_each_number_and_code(client: Client) -> None:
    """The third request for a number and code gets a ref; another code starts from the beginning."""
    assert [client.call("2025550002").status for _ in range(4)] == [503, 503, 200, 200]
    assert client.call("2025550002", code="54321").status == 503


def test_0003_is_read_and_left_without_an_answer(
    client: Client, sandbox: Sandbox, until: Callable[[Callable[[], bool]], None]
) -> None:
    """The request is on the log, a later one on another connection is answered, and not a byte has come."""
    with open_call(sandbox, "2025550003") as held:
        until(lambda: len(sandbox.requests()) == 1)
        assert client.call("2025550199").status == 200
        held.setblocking(False)
        with pytest.raises(BlockingIOError):
            held.recv(1)
    served = sandbox.requests()[0]
    assert (served.answer, served.rung, served.http_status) == ("no answer", True, None)


def test_0004_resets_the_connection_after_reading(client: Client, sandbox: Sandbox) -> None:
    """The client sees a reset, and the request is on the log as one that rang."""
    with pytest.raises(ConnectionResetError):
        client.call("2025550004")
    [served] = sandbox.requests()
    assert (served.answer, served.rung, served.http_status) == ("reset", True, None)


def test_0005_answers_200_with_nothing(client: Client) -> None:
    """The body is empty and complete."""
    answer = client.call("2025550005")
    assert (answer.status, answer.body) == (200, b"")


def test_0006_spells_json_without_quotes_around_the_ref(client: Client) -> None:
    """The documented example's JSON does not parse, and does once the ref is quoted."""
    body = client.call("2025550006").body
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    mended = re.sub(rb"([0-9A-F]{32})", rb'"\1"', body)
    assert REF.fullmatch(json.loads(mended)["response"]["ref"])


def test_0006_is_ordinary_xml(client: Client) -> None:
    """Only the JSON of that row is spelled wrongly."""
    root = ElementTree.fromstring(client.call("2025550006", fmt="xml").body)
    assert REF.fullmatch(root.findtext("ref") or "")


def test_0007_answers_429_once_with_retry_after(client: Client) -> None:
    """The first request is told to wait two seconds, the second gets a ref."""
    first, second = client.call("2025550007"), client.call("2025550007")
    assert (first.status, first.headers["Retry-After"]) == (429, "2")
    assert REF.fullmatch(second.content["response"]["ref"])


@pytest.mark.parametrize(("ending", "status"), [("0009", 500), ("0013", 503)])
def test_broken_numbers_answer_the_same_error_always(client: Client, ending: str, status: int) -> None:
    """The fourth request fares as the first, and the body holds neither answer nor error."""
    answers = [client.call(f"202555{ending}") for _ in range(4)]
    assert [answer.status for answer in answers] == [status] * 4
    assert not any(word in answers[0].body for word in (b"response", b"failed"))


def test_0010_answers_after_two_seconds(client: Client, sleep: RecordedSleep) -> None:
    """The ref comes after exactly one pause of two seconds."""
    assert REF.fullmatch(client.call("2025550010").content["response"]["ref"])
    assert sleep.seconds == [2.0]


def test_0011_pauses_a_second_before_each_byte(client: Client, sleep: RecordedSleep) -> None:
    """There are as many pauses of one second as the body has bytes."""
    answer = client.call("2025550011")
    assert REF.fullmatch(answer.content["response"]["ref"])
    assert sleep.seconds == [1.0] * len(answer.body)


@pytest.mark.parametrize(
    ("ending", "answer", "rung"),
    [
        ("0001", "INVALID_TELEPHONE", False),
        ("0002", "503", False),
        ("0003", "no answer", True),
        ("0004", "reset", True),
        ("0005", "empty", True),
        ("0006", "ref", True),
        ("0007", "429", False),
        ("0008", "NO_POINTS", False),
        ("0009", "500", True),
        ("0010", "ref", True),
        ("0011", "drip", True),
        ("0012", "CARRIER_SUSPENDED", False),
        ("0013", "503", False),
        ("0014", "ref", True),
    ],
)
def test_log_says_what_was_answered_and_whether_it_rang(
    sandbox: Sandbox, until: Callable[[Callable[[], bool]], None], ending: str, answer: str, rung: bool
) -> None:
    """Each row's first request is filed under its own name, and as rung only if a phone would have."""
    with open_call(sandbox, f"202555{ending}"):
        until(lambda: len(sandbox.requests()) == 1)
    [served] = sandbox.requests()
    assert (served.answer, served.rung) == (answer, rung)


def test_0003_ends_when_the_client_leaves(sandbox: Sandbox) -> None:
    """A client that closes its side gets the end of the connection and no byte before it."""
    with open_call(sandbox, "2025550003") as held:
        held.shutdown(socket.SHUT_WR)
        assert held.recv(1) == b""
