"""Placed calls: a ref in every framing, coding and spelling, on real sockets."""

from __future__ import annotations

import threading
import zlib
from pathlib import Path

import pytest

from tests.contract.provider_caller import Caller
from tests.contract.scripted_provider import (
    GOOD,
    REF,
    Play,
    answers,
    answers_once,
    expect,
    in_turn,
    over_tls,
    reply,
)
from worker.errors import (
    AccountProblem,
)
from worker.http.oddities import Oddity
from worker.provider import CallResult

pytest_plugins = ["tests.contract.provider_fixtures"]


def framed(*lines: str) -> bytes:
    """An answer whose length `lines` give, or else the connection's end."""
    return "\r\n".join(("HTTP/1.1 200 OK", *lines)).encode() + b"\r\n\r\n" + GOOD


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED += b"9\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (GOOD[:9], len(GOOD) - 9, GOOD[9:])
PLACED: dict[str, tuple[str, bytes]] = {
    "xml": ("xml", reply(b'<?xml version="1.0" encoding="UTF-8"?>\n' + GOOD + b"\n")),
    "json": ("json", reply(b'{"version":"1.0","encoding":"UTF-8","response":{"ref":"%s"}}' % REF.encode())),
    "json as documented": ("json", reply(b'{"version": "1.0", "response": {"ref": %s}}' % REF.encode())),
    "status 500": ("xml", reply(GOOD, "500 Oops")),
    "status 302": ("xml", reply(GOOD, "302 Found", "Location: /x")),
    "status 429": ("xml", reply(GOOD, "429 Slow", "Retry-After: 5")),
    "chunked": ("xml", CHUNKED),
    "until the end": ("xml", b"HTTP/1.0 200 OK\r\n\r\n" + GOOD),
    "closing": ("xml", reply(GOOD, "200 OK", "Connection: close")),
    "after 100 Continue": ("xml", b"HTTP/1.1 100 Continue\r\n\r\n" + reply()),
    "after 102 Processing": ("xml", b"HTTP/1.1 102 Processing\r\n\r\n" * 20 + reply()),
    "after 103 Early Hints": ("xml", b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + reply()),
    "after several of 1xx": ("xml", b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 104 X\r\nContent-Length: 9\r\n\r\n" + reply()),
    "after a blank line": ("xml", b"\r\n" + reply()),
    "one length twice in a line": ("xml", framed(f"Content-Length: {len(GOOD)}, {len(GOOD)}")),
    "one length in two lines": ("xml", framed(f"Content-Length: {len(GOOD)}", f"content-length: 0{len(GOOD)}")),
    "length with a sign": ("xml", framed(f"Content-Length: +{len(GOOD)}")),
    "length that is none": ("xml", framed("Content-Length: none")),
    "negative length": ("xml", framed("Content-Length: -1")),
    "no reason": ("xml", reply(GOOD, "200")),
    "bare line feeds": ("xml", framed(f"Content-Length: {len(GOOD)}").replace(b"\r", b"")),
    "folded header, line without a colon": ("xml", reply(GOOD, "200 OK", "X: 1\r\n more", "Warning")),
    "chunks and a length": ("xml", CHUNKED.replace(b"Tr", b"Content-Length: 3\r\nTr", 1)),
    "chunks named twice": ("xml", CHUNKED.replace(b"Tr", b"Transfer-Encoding: chunked\r\nTr", 1)),
    "chunks with extension and trailer": (
        "xml",
        CHUNKED.replace(b"\r\n9\r\n", b"\r\n9;x=y\r\n").replace(b"\r\n0\r\n", b"\r\n0\r\nX-Sum: 1\r\n"),
    ),
    "xml with a stray byte": ("xml", reply(GOOD.replace(b"</ref>", b"</ref><error_msg>\xe9 & \x01</error_msg>"))),
    "json with a line break": ("json", reply(b'{"response": {"ref": "%s", "note": "a\nb",}}' % REF.encode())),
    "an empty half beside it": ("json", reply(b'{"response": {"ref": "%s"}, "failed": false}' % REF.encode())),
    "called utf-8": ("xml", reply(GOOD, "200 OK", "Content-Encoding: utf-8")),
    "called gzip and plain": ("xml", reply(GOOD, "200 OK", "Content-Encoding: gzip")),
    "gzip, not called so": ("xml", reply(zlib.compress(GOOD, wbits=31))),
    "deflate": ("xml", reply(zlib.compress(GOOD), "200 OK", "Content-Encoding: deflate")),
    "gzip": ("xml", reply(zlib.compress(GOOD, wbits=31), "200 OK", "Content-Encoding: GZIP")),
    "raw deflate": ("xml", reply(zlib.compress(GOOD, wbits=-15), "200 OK", "Content-Encoding: deflate")),
}  # fmt: skip


@pytest.mark.parametrize(("fmt", "answer"), PLACED.values(), ids=PLACED.keys())
def test_ref_in_the_body_is_a_placed_call(play: Play, fmt: str, answer: bytes) -> None:
    """A ref in any spelling, framing or coding, under any status, is a placed call.

    An interim answer used to be taken for the answer (A6), a byte or a comma made it unreadable (A3, A4), and a wrong
    name of its coding too (A5), so that the phone rang again.
    """
    caller = Caller(play(answers_once(answer)).url, fmt=fmt)
    assert caller.call() == REF
    assert caller.observed == [("acme", CallResult.PLACED)]


@pytest.mark.parametrize(
    ("answer", "ref"),
    [
        (b"<response><ref>97A6</ref></response>", "97A6"),
        (b"<response><ref>%s</ref></response>" % (b"Zz-9" * 8), "Zz-9" * 8),
        (b'{"response": {"ref": "call-2125550199/48213"}}', "call-***"),
        (b'{"response": {"reference": "x\\u0000\\u202ey"}}', "x y"),
        (b"<response><ref>%s</ref></response>" % (b"x" * 5000), "x" * 300),
    ],
)
def test_ref_of_another_shape_is_a_placed_call(play: Play, answer: bytes, ref: str) -> None:
    """A text alone in a response is reported, cleaned, as the ref: the phone rings, and is not rung again (A7)."""
    provider = play(answers(reply(answer)))
    caller = Caller(provider.url)
    assert caller.call() == ref
    assert (len(provider.requests), caller.observed) == (1, [("acme", CallResult.PLACED)])
    assert caller.oddities == [{Oddity.REF}]


def test_account_without_points_is_held_however_that_is_spelled(play: Play) -> None:
    """A byte that XML does not allow beside an account's code does not have its jobs dialled twice each (A3)."""
    body = b"<failed><error_code>INVALID_KEY</error_code><error_msg>Cl\xe9 invalide & vieille</error_msg></failed>"
    caller = Caller(play(answers(reply(body))).url)
    error = caller.fails()
    assert isinstance(error, AccountProblem) and "invalide & v" in error.message
    assert caller.oddities == [{Oddity.REPAIRED}]


def test_call_works_over_tls_and_keeps_its_connection(play: Play, trusted: Path) -> None:
    """Session tickets that come after the handshake do not make a connection look lost."""
    shaken = threading.Event()
    provider = play(over_tls(in_turn(lambda _: shaken.set(), answers(reply())), trusted))
    caller = Caller(f"https://127.0.0.1:{provider.port}")
    caller.at_gate = lambda: expect(shaken)
    assert [caller.call() for _ in range(3)] == [REF] * 3
    assert (provider.connections, caller.gates) == (1, 3)
