"""The head of an HTTP answer and the end of its body: as servers and proxies spell them."""

from __future__ import annotations

import http.client
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.http.answer import FREE_READS, GATHER_SECONDS, MAX_INTERIM_ANSWERS, MAX_LINES, Answer
from worker.http.heads import Headers
from worker.http.oddities import Oddity
from worker.http.phases import MAX_ANSWER_BYTES, Exchange, Phase, TooLarge

MAX_BYTES = 100
OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def begun(data: bytes) -> Iterator[tuple[Answer, Exchange]]:
    """The answer that `data` begins with, after which the server closes, and its exchange."""
    here, there = socket.socketpair()
    with here:
        with there:
            there.sendall(data)
        here.setblocking(False)
        exchange = Exchange(5, 5)
        exchange.start_sending()
        yield Answer(here, exchange), exchange


def body(data: bytes) -> bytes:
    with begun(data) as (answer, exchange):
        found = answer.body(MAX_BYTES)
        assert exchange.phase is Phase.BODY_READ
        return found


def headers(*lines: str) -> Headers:
    return Headers.read(io.BytesIO("\r\n".join([*lines, "", "after"]).encode("latin-1")))


@pytest.mark.parametrize("status", [100, 102, 103, 110, 199])
@pytest.mark.parametrize("count", [1, MAX_INTERIM_ANSWERS])
def test_interim_answers_are_skipped(status: int, count: int) -> None:
    """Up to a hundred answers of any status of 1xx go before the answer, which counts as odd (A6)."""
    with begun(b"HTTP/1.1 %d X\r\nLink: a\r\n\r\n" % status * count + OK + b"\r\n") as (answer, exchange):
        assert answer.body(MAX_BYTES) == b""
        assert (answer.status, exchange.oddities, dict(answer.headers)) == (200, {Oddity.HEAD}, {})


@pytest.mark.parametrize("blank", [b"\r\n", b"\n", b"\r\n" * 50])
def test_blank_lines_before_the_status_line_are_skipped(blank: bytes) -> None:
    """Some servers send one behind the body of the answer before; the answer counts as odd (A6)."""
    answered = blank + b"HTTP/1.1 103 X\r\n\r\n" + blank + OK + b"Content-Length: 2\r\n\r\nok"
    with begun(answered) as (answer, exchange):
        assert answer.body(MAX_BYTES) == b"ok"
        assert (answer.status, exchange.oddities) == (200, {Oddity.HEAD})


def test_blank_lines_alone_are_no_answer() -> None:
    """They end with the connection, or with what an answer may have in lines."""
    with pytest.raises(http.client.RemoteDisconnected), begun(b"\r\n" * 3):
        pass
    with pytest.raises(http.client.HTTPException, match="too many lines"), begun(b"\r\n" * 40_000):
        pass


def test_lines_of_all_heads_together_are_bounded() -> None:
    """Interim answers with long headers cost a server few bytes, and this program a lot of time."""
    interim = b"HTTP/1.1 103 X\n" + b"a:\n" * 98 + b"\n"
    with pytest.raises(http.client.HTTPException, match="too many lines"), begun(interim * 21 + OK + b"\r\n"):
        pass


@pytest.mark.parametrize("rest", [b"1\r\nx\r\n" * MAX_LINES, b"0\r\n" + b"a:\n" * MAX_LINES])
def test_lines_of_chunks_are_bounded(rest: bytes) -> None:
    """Neither chunks of one byte nor an endless trailer keep the thread busy that reads all answers."""
    with (
        begun(CHUNKED + rest) as (answer, _),
        pytest.raises(http.client.HTTPException, match="too many lines"),
    ):
        answer.body(MAX_ANSWER_BYTES)


def test_bytes_that_drip_are_gathered() -> None:
    """A server that sends each byte alone has a few reads free, and then few in a second, so that it costs little."""
    here, there = socket.socketpair()
    exchange = Counting(30, 30)
    exchange.start_sending()
    with here, there:
        here.setblocking(False)
        there.sendall(OK + b"Content-Length: 2000\r\n\r\n")
        dripping = threading.Thread(target=drip, args=(there, 2000))
        dripping.start()
        begun_at = monotonic()
        assert Answer(here, exchange).body(2000) == b"x" * 2000
        seconds = monotonic() - begun_at
        dripping.join()
    # The event loop may wake a little too early.
    assert exchange.reads <= FREE_READS + 2 + 2 * seconds / GATHER_SECONDS


class Counting(Exchange):
    """Counts the reads of its answer."""

    reads = 0

    def take(self, count: int) -> None:
        self.reads += 1
        super().take(count)


def drip(sock: socket.socket, count: int) -> None:
    for _ in range(count):
        sock.send(b"x")
        sleep(0.0002)


def test_one_interim_answer_too_many_is_an_error() -> None:
    """A server cannot have the worker skip answers for ever (A6)."""
    flood = b"HTTP/1.1 103 X\r\n\r\n" * (MAX_INTERIM_ANSWERS + 1) + OK + b"\r\n"
    with pytest.raises(http.client.HTTPException), begun(flood):
        pass


def test_switch_of_protocols_is_the_last_word() -> None:
    """Nothing is read after status 101, because the rest is not HTTP (A6)."""
    with begun(b"HTTP/1.1 101 X\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") as (answer, _):
        assert (answer.status, answer.closes, answer.body(MAX_BYTES)) == (101, True, b"")


@pytest.mark.parametrize(
    "line", ["HTTP/1.1 204", " HTTP/1.1  204\tNo  Content", "HTTP/1.0 204 \xff", "HTTP/0.9 204 X"]
)
def test_status_line_is_read_leniently(line: str) -> None:
    """The status line is read with any spaces and any reason."""
    with begun(line.encode("latin-1") + b"\r\n\r\n") as (answer, _):
        assert answer.status == 204


@pytest.mark.parametrize(
    "line",
    ["", "HTTP/2 200 OK", "HTTP/1.1", "HTTP/1.1 2000 X", "HTTP/1.1 099 X", "HTTP/1.1 +20 X", "ICY 200 OK"],
)
def test_what_is_no_status_line_is_an_error(line: str) -> None:
    """Another protocol, or none, and a status that is not one of three digits."""
    with pytest.raises(http.client.BadStatusLine), begun(line.encode() + b"\r\n\r\n"):
        pass


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"HTTP/1.1 204 X\r\n\r\n", False),
        (b"HTTP/1.1 200 X\r\n\r\n", True),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: gzip\r\n\r\n", True),
        (b"HTTP/1.1 200 X\r\nContent-Length: 0\r\nConnection: Upgrade, Close\r\n\r\n", True),
        (b"HTTP/1.0 200 X\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 X\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", False),
    ],
)
def test_answer_says_whether_another_may_follow(head: bytes, closes: bool) -> None:
    """Another answer may follow depending on the version, the Connection header, and a recognisable end."""
    with begun(head) as (answer, _):
        assert answer.closes == closes


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        (["Content-Length: 103"], 103),
        (["Content-Length: 103, 103"], 103),
        (["Content-Length: 103,103 ,\t103"], 103),
        (["Content-Length: 103", "content-length:103", "X: 1", "CONTENT-LENGTH: 0103"], 103),
        (["Content-Length: +5"], 5),
        (["Content-Length:  5  "], 5),
        (["Content-Length: 0"], 0),
        (["Content-Length: " + "0" * 30 + "5"], 5),
        (["Content-Length: -5"], None),
        (["Content-Length: 1_0"], None),
        (["Content-Length: five"], None),
        (["Content-Length:"], None),
        (["Content-Length: ²"], None),
        (["Content-Length: " + "9" * 5000], None),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], None),
        (["Content-Length: 5", "Transfer-Encoding: identity"], 5),
        (["Transfer-Encoding: ", "Content-Length: 5"], 5),
    ],
)  # fmt: skip
def test_length_is_settled(lines: list[str], length: int | None) -> None:
    """Equal lengths are one; what is no length, or is given beside chunks, is left out (A6)."""
    assert headers(*lines).length == length


@pytest.mark.parametrize(
    "lines", [["Content-Length: 1, 2"], ["Content-Length: 1", "Content-Length: 2"], ["Content-Length: 1, x"]]
)
def test_lengths_that_differ_count_for_nothing(lines: list[str]) -> None:
    """Nobody can tell which of them is right (A6)."""
    found = headers(*lines)
    assert (found.contradictory, found.odd, found.length) == (True, True, None)
    with pytest.raises(http.client.HTTPException):
        body(OK + "\r\n".join([*lines, "", "x"]).encode())


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
    assert body("\r\n".join(["HTTP/1.1 200 OK", *lines, "", "2\r\nok\r\n0\r\n\r\n"]).encode()) == b"ok"


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BODIES: dict[str, tuple[bytes, bytes]] = {
    "of a length": (OK + b"Content-Length: 2\r\n\r\nokay", b"ok"),
    "to the end": (OK + b"\r\nok", b"ok"),
    "in chunks": (CHUNKED + b"1;x=y\r\no\r\n01 \r\nk\r\n0\r\nX: 1\r\n\r\n", b"ok"),
    "in chunks with bare line feeds": (CHUNKED + b"1\no\n1\nk\n0\n\n", b"ok"),
    "of the longest length": (OK + b"Content-Length: 100\r\n\r\n" + b"x" * MAX_BYTES, b"x" * MAX_BYTES),
    "of the longest chunks": (CHUNKED + b"63\r\n%s\r\n1\r\nx\r\n0\r\n\r\n" % (b"x" * 99), b"x" * MAX_BYTES),
    "without one": (b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", b""),
}


@pytest.mark.parametrize(("data", "expected"), BODIES.values(), ids=BODIES.keys())
def test_body_ends_where_the_head_says(data: bytes, expected: bytes) -> None:
    """A body ends by its length, its chunks or the connection's end; some statuses have no body."""
    assert body(data) == expected


CUT: dict[str, bytes] = {
    "length": OK + b"Content-Length: 3\r\n\r\nok",
    "chunk": CHUNKED + b"3\r\nok",
    "end of a chunk": CHUNKED + b"2\r\nok",
    "last chunk": CHUNKED + b"2\r\nok\r\n",
    "chunk that is longer than its size": CHUNKED + b"1\r\nok\r\n0\r\n\r\n",
    "size with a sign": CHUNKED + b"+2\r\nok\r\n0\r\n\r\n",
    "size with a prefix": CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", CUT.values(), ids=CUT.keys())
def test_body_cut_short_is_an_error(data: bytes) -> None:
    """A body that is cut short is an error, because it may be the beginning of something else."""
    with pytest.raises(http.client.IncompleteRead):
        body(data)


@pytest.mark.parametrize(
    "data",
    [
        OK + b"\r\n" + b"x" * 101,
        OK + b"Content-Length: 101\r\n\r\n",
        CHUNKED + b"ffffffffffffffff\r\n",
        CHUNKED + b"64\r\n%s\r\n1\r\nx\r\n0\r\n\r\n" % (b"x" * MAX_BYTES),
    ],
    ids=["to the end", "length", "chunk", "chunks"],
)
def test_body_over_the_bound_is_not_read(data: bytes) -> None:
    """A body over the bound is refused in any form of its length, without waiting for the announced bytes."""
    with pytest.raises(TooLarge):
        body(data)


@pytest.mark.parametrize("lines", [[], ["Content-Length: 5"], ["Transfer-Encoding: chunked"]])
def test_plain_head_is_not_odd(lines: list[str]) -> None:
    """A head as the standard describes it leaves the connection usable."""
    assert not headers(*lines).odd


@given(st.binary(max_size=500))
def test_any_bytes_are_an_answer_or_an_error(data: bytes) -> None:
    """No bytes raise anything but the library's own error."""
    try:
        body(b"HTTP/1.1 " + data)
    except http.client.HTTPException:
        return


@given(
    st.sampled_from([b"Content-Length: ", b"Transfer-Encoding: chunked\r\n\r\n", b""]),
    st.binary(max_size=500),
)
def test_any_body_is_one_or_an_error(line: bytes, data: bytes) -> None:
    """Any bytes behind a good head are a body or an error."""
    try:
        assert len(body(OK + line + data)) <= MAX_BYTES
    except http.client.HTTPException:
        return
