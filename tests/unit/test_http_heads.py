"""The head of an HTTP answer: interim answers, lengths and codings as servers and proxies spell them."""

from __future__ import annotations

import http.client
import io
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.http.heads import MAX_INTERIM_ANSWERS, FinalAnswer, Headers, as_message


class Wire:
    """Stands for the socket."""

    def __init__(self, data: bytes) -> None:
        self.makefile = lambda _: io.BytesIO(data)


def begun(data: bytes) -> FinalAnswer:
    answer = FinalAnswer(Wire(data), method="POST")  # type: ignore[arg-type]  # makefile is all that is used of it
    answer.begin()
    return answer


def headers(*lines: str) -> Headers:
    return Headers.read(io.BytesIO("\r\n".join([*lines, "", "after"]).encode("latin-1")))


@pytest.mark.parametrize("status", [100, 102, 103, 110, 199])
@pytest.mark.parametrize("count", [1, MAX_INTERIM_ANSWERS])
def test_interim_answers_are_skipped(status: int, count: int) -> None:
    """Up to a hundred answers of any status of 1xx go before the answer, which counts as odd (A6)."""
    answer = begun(b"HTTP/1.1 %d X\r\nLink: a\r\n\r\n" % status * count + b"HTTP/1.1 200 OK\r\n\r\n")
    assert (answer.status, answer.odd, dict(cast(Headers, answer.headers))) == (200, True, {})


def test_one_interim_answer_too_many_is_an_error() -> None:
    """A server cannot have the worker skip answers for ever (A6)."""
    with pytest.raises(http.client.HTTPException):
        begun(b"HTTP/1.1 103 X\r\n\r\n" * (MAX_INTERIM_ANSWERS + 1) + b"HTTP/1.1 200 OK\r\n\r\n")


def test_switch_of_protocols_is_the_last_word() -> None:
    """What follows 101 is not HTTP (A6)."""
    assert begun(b"HTTP/1.1 101 X\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").status == 101


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        (["Content-Length: 103"], "103"),
        (["Content-Length: 103, 103"], "103"),
        (["Content-Length: 103,103 ,\t103"], "103"),
        (["Content-Length: 103", "content-length:103", "X: 1", "CONTENT-LENGTH: 0103"], "103"),
        (["Content-Length: +5"], "5"),
        (["Content-Length:  5  "], "5"),
        (["Content-Length: 0"], "0"),
        (["Content-Length: -5"], None),
        (["Content-Length: 1_0"], None),
        (["Content-Length: five"], None),
        (["Content-Length:"], None),
        (["Content-Length: ²"], None),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], None),
        (["Content-Length: 5", "Transfer-Encoding: identity"], "5"),
        (["Transfer-Encoding: ", "Content-Length: 5"], "5"),
    ],
)
def test_length_is_settled(lines: list[str], length: str | None) -> None:
    """Equal lengths are one; what is no length, or stands beside chunks, is left out (A6)."""
    assert headers(*lines).get("Content-Length") == length


@pytest.mark.parametrize(
    "lines", [["Content-Length: 1, 2"], ["Content-Length: 1", "Content-Length: 2"], ["Content-Length: 1, x"]]
)
def test_lengths_that_differ_count_for_nothing(lines: list[str]) -> None:
    """Nobody can tell which of them is right (A6)."""
    found = headers(*lines)
    assert (found.contradictory, found.odd, found.get("Content-Length")) == (True, True, None)


@pytest.mark.parametrize(
    "lines",
    [
        ["Transfer-Encoding: Chunked"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ],
)
def test_chunks_are_known_in_every_spelling(lines: list[str]) -> None:
    """Chunks are the last thing that is done to a body, whatever was done to it before."""
    answer = begun("\r\n".join(["HTTP/1.1 200 OK", *lines, "", "2\r\nok\r\n0\r\n\r\n"]).encode())
    assert answer.chunked and answer.read() == b"ok"


@pytest.mark.parametrize("lines", [[], ["Content-Length: 5"], ["Transfer-Encoding: chunked"]])
def test_plain_head_is_not_odd(lines: list[str]) -> None:
    """What the standard describes leaves the connection as good as it was."""
    assert not headers(*lines).odd


@given(st.binary(max_size=500))
def test_any_bytes_are_a_head_or_an_error(data: bytes) -> None:
    """No bytes raise anything but the library's own error."""
    try:
        begun(b"HTTP/1.1 " + data)
    except http.client.HTTPException:
        return


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=40), max_size=5))
def test_any_headers_can_be_given_to_urllib3(lines: list[str]) -> None:
    """Names and values of any kind come through."""
    found = headers(*(line.replace("\n", "") for line in lines if line.strip()))
    assert len(as_message(found).items()) == len(found)
