"""Reading requests off the wire."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.wire import MAX_BODY_BYTES, MAX_HEAD_BYTES, Request, Unreadable, read_request


class Invitations:
    """Stands in for the writer, which is needed only to invite a body."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data


def read(data: bytes, writer: Invitations | None = None) -> Request:
    async def scenario() -> Request:
        reader = asyncio.StreamReader(limit=MAX_HEAD_BYTES)
        reader.feed_data(data)
        reader.feed_eof()
        return await read_request(reader, writer or Invitations())  # type: ignore[arg-type]

    return asyncio.run(scenario())


def test_form_of_a_post_joins_query_and_body() -> None:
    """Fields are decoded; the body wins over the query, and the last value over the first."""
    body = b"ref=a+b%26c%C3%A9&code=1&code=123"
    head = f"POST /x?code=9&key=K HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert read(head + body).form() == {"code": "123", "key": "K", "ref": "a b&cé"}


def test_form_of_a_get_is_its_query() -> None:
    """A body sent along with a GET holds no fields."""
    request = read(b"GET /x?ref=&key=K HTTP/1.1\r\nContent-Length: 3\r\n\r\na=b")
    assert (request.path, request.form()) == ("/x", {"ref": "", "key": "K"})


def test_chunked_body_is_joined() -> None:
    """Chunk extensions and trailers are passed over."""
    chunks = b"3;x=1\r\na=b\r\n4\r\n&c=d\r\n0\r\nTrailer: 1\r\n\r\n"
    request = read(b"POST /x HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n" + chunks)
    assert request.form() == {"a": "b", "c": "d"}


def test_client_that_asks_first_is_invited_to_send_its_body() -> None:
    """A body announced with Expect is called for by 100 Continue."""
    writer = Invitations()
    read(b"POST /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\na=b", writer)
    assert writer.sent == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", True),
        (b"HEAD / HTTP/1.1\r\n", False),
    ],
)
def test_connection_is_kept_as_version_and_header_ask(start: bytes, keep_alive: bool) -> None:
    """HTTP/1.1 keeps by default and 1.0 on request; HEAD never does."""
    assert read(start + b"\r\n").keep_alive is keep_alive


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n", 413),
        (b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
def test_unreadable_requests_name_the_status_to_answer(data: bytes, status: int) -> None:
    """Malformed, too large and unknown requests get different statuses."""
    with pytest.raises(Unreadable) as caught:
        read(data)
    assert caught.value.status == status


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"]),
)
def test_reading_any_bytes_ends_in_a_request_or_a_known_refusal(data: bytes, start: bytes) -> None:
    """Whatever arrives, reading never ends in an exception that a connection does not expect."""
    with suppress(Unreadable, asyncio.IncompleteReadError):
        assert isinstance(read(start + data).form(), dict)
