"""Was the phone rung? Every row of the provider notes' table, on real sockets."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import gevent
import pytest

from tests.contract.provider_caller import LONG, SHORT, SOON, Caller, was_not_sent
from tests.contract.scripted_provider import (
    GOOD,
    INVALID,
    REF,
    Departure,
    Peer,
    Play,
    Script,
    answers,
    answers_once,
    drips,
    expect,
    in_turn,
    over_tls,
    reply,
)
from tests.processes import free_port
from worker.errors import (
    AccountProblem,
    ConfigurationError,
    Misconfigured,
    Redial,
    Refused,
    Retry,
)
from worker.http import addresses as resolving
from worker.http import connection
from worker.provider import CallResult

# Certainly not rung: nothing was written.

pytest_plugins = ["tests.contract.provider_fixtures"]


def test_refused_connection_is_a_retry() -> None:
    """A port where nobody listens: not rung, not sent."""
    caller = Caller(f"http://127.0.0.1:{free_port()}")
    assert was_not_sent(caller.fails(), caller)
    assert caller.gates == 0


def test_unresolved_name_is_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nobody knows: not rung, not sent."""

    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(resolving, "getaddrinfo", unknown)
    caller = Caller("http://provider.invalid")
    error = caller.fails()
    assert was_not_sent(error, caller)
    assert "while its name was resolved: name, gaierror" in error.message


def test_slow_resolver_ends_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name service that does not answer holds up a call no longer than a silent address would."""
    monkeypatch.setattr(resolving, "getaddrinfo", lambda *_: gevent.sleep(30))
    caller = Caller("http://provider.invalid", timeout_seconds=SHORT)
    began = time.monotonic()
    error = caller.fails()
    assert was_not_sent(error, caller)
    assert "while its name was resolved: timeout, TimeoutError" in error.message
    assert time.monotonic() - began < SOON


def test_connect_timeout_is_a_retry(deaf_port: int) -> None:
    """A connection that nobody takes: not rung, not sent, within the bound."""
    caller = Caller(f"http://127.0.0.1:{deaf_port}", timeout_seconds=SHORT)
    began = time.monotonic()
    error = caller.fails()
    assert was_not_sent(error, caller)
    assert "while connecting: timeout, TimeoutError" in error.message
    assert time.monotonic() - began < SOON


def resolve_to(monkeypatch: pytest.MonkeyPatch, ports: list[int]) -> None:
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(resolving, "getaddrinfo", lambda *_: entries)


def test_many_dead_addresses_share_one_bound(deaf_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty silent addresses take no longer than one."""
    resolve_to(monkeypatch, [deaf_port] * 20)
    caller = Caller("http://provider.invalid", timeout_seconds=SHORT)
    began = time.monotonic()
    assert was_not_sent(caller.fails(), caller)
    assert time.monotonic() - began < SOON


def test_dead_first_address_leaves_time_for_the_second(
    play: Play, deaf_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent address does not use up the bound of the good one behind it."""
    provider = play(answers(reply()))
    resolve_to(monkeypatch, [deaf_port, provider.port])
    assert Caller("http://provider.invalid", timeout_seconds=LONG).call() == REF


def test_name_without_addresses_is_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer of the resolver is not an accident of ours."""
    resolve_to(monkeypatch, [])
    caller = Caller("http://provider.invalid")
    assert was_not_sent(caller.fails(), caller)


def test_silent_handshake_is_a_retry(play: Play) -> None:
    """Accepted, but never TLS: `requests` calls it a read timeout, and yet nothing was sent."""
    provider = play(Peer.stay_silent)
    caller = Caller(f"https://127.0.0.1:{provider.port}", timeout_seconds=SHORT)
    error = caller.fails()
    assert was_not_sent(error, caller)
    assert "in the TLS handshake: timeout, TimeoutError" in error.message
    assert caller.gates == 0


def test_dripped_handshake_ends_within_the_bound(play: Play) -> None:
    """A handshake of one byte now and then cannot hold the thread."""
    server_hello_to_be = b"\x16\x03\x03\x40\x00" + bytes(1000)
    provider = play(drips(server_hello_to_be))
    caller = Caller(f"https://127.0.0.1:{provider.port}", timeout_seconds=SHORT)
    began = time.monotonic()
    assert was_not_sent(caller.fails(), caller)
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize(
    "script",
    [Peer.reset, lambda peer: None, lambda peer: peer.sock.sendall(reply())],
    ids=["rst", "fin", "not tls"],
)
def test_broken_handshake_is_a_retry(play: Play, script: Script) -> None:
    """A handshake that ends in anything but a refused certificate: not rung, not sent."""
    provider = play(script)
    caller = Caller(f"https://127.0.0.1:{provider.port}")
    assert was_not_sent(caller.fails(), caller)


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_new_connection_lost_at_the_gate_is_a_retry(play: Play, reset: bool) -> None:
    """Lost before the first byte: not rung, and no second connection is tried behind the gate's back."""
    departure = Departure(reset=reset)
    provider = play(departure)
    caller = Caller(provider.url)
    caller.at_gate = departure.happen
    error = caller.fails()
    assert was_not_sent(error, caller)
    assert "before the first byte was written" in error.message
    assert (provider.connections, caller.gates) == (1, 1)


def test_reset_seen_by_the_first_write_is_a_retry(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reset that comes after the last look: the write itself fails, so that nothing was sent."""
    departure = Departure(reset=True)
    provider = play(departure)
    monkeypatch.setattr(connection.Connection, "_is_silent", lambda _: True)
    caller = Caller(provider.url)
    caller.at_gate = departure.happen
    assert was_not_sent(caller.fails(), caller)


def test_unasked_answer_is_not_taken_for_ours(play: Play) -> None:
    """A server that speaks first is not written to: its words would be read as the call's answer."""
    spoke = threading.Event()
    provider = play(in_turn(lambda peer: peer.sock.sendall(reply()), lambda _: spoke.set(), Peer.stay_silent))
    caller = Caller(provider.url)
    caller.at_gate = lambda: expect(spoke)
    assert was_not_sent(caller.fails(), caller)


# Certainly not rung, though an answer came.


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize(
    "body", [b"", b"<html><body>Later</body></html>", b"<p>not even <b>XML", b"[1]", b"{}"]
)
def test_busy_provider_is_a_retry(play: Play, status: str, body: bytes) -> None:
    """429 and 503 without an answer in the body: not rung, though sent."""
    caller = Caller(play(answers_once(reply(body, status))).url)
    error = caller.fails()
    assert isinstance(error, Retry) and error.sent and error.retry_after_seconds is None
    assert caller.observed == [("acme", CallResult.NOT_RUNG)]
    assert caller.statuses == [int(status[:3])]


@pytest.mark.parametrize(
    ("wish", "least", "most"),
    [("2", 2, 2), ("100000", 300, 300), (timedelta(seconds=100), 30, 100), (timedelta(days=-1), 0, 0)],
    ids=["seconds", "clamped", "date", "past date"],
)
def test_retry_after_is_honoured(play: Play, wish: str | timedelta, least: float, most: float) -> None:
    """Both forms of Retry-After reach the retry, clamped."""
    header = wish if isinstance(wish, str) else format_datetime(datetime.now(UTC) + wish, usegmt=True)
    caller = Caller(play(answers_once(reply(b"", "429 Slow", f"Retry-After: {header}"))).url)
    error = caller.fails()
    assert isinstance(error, Retry) and error.retry_after_seconds is not None
    assert least <= error.retry_after_seconds <= most


@pytest.mark.parametrize("status", ["200 OK", "400 Bad", "429 Slow", "500 Oops", "302 Found"])
def test_error_in_the_body_decides_whatever_the_status(play: Play, status: str) -> None:
    """A well-formed `failed` is the provider's word: not rung, per the table of codes."""
    caller = Caller(play(answers_once(reply(INVALID, status))).url)
    error = caller.fails()
    assert isinstance(error, Refused) and (error.code, error.message) == ("INVALID_TELEPHONE", "Not valid.")
    assert caller.observed == [("acme", CallResult.REFUSED)]


def test_account_code_is_an_account_problem(play: Play) -> None:
    """INVALID_KEY holds the account, not the job."""
    body = b'{"failed": {"error_code": "INVALID_KEY", "error_msg": "no"}}'
    caller = Caller(play(answers_once(reply(body))).url, fmt="json")
    assert isinstance(caller.fails(), AccountProblem)
    assert caller.observed == [("acme", CallResult.ACCOUNT)]


# Perhaps rung.


def cut_chunks(peer: Peer) -> None:
    peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(GOOD), GOOD))


LOST: dict[str, Script] = {
    "fin after the request": Peer.request,
    "rst after the request": in_turn(Peer.request, Peer.reset),
    "rst in the headers": in_turn(answers_once(reply()[:30]), Peer.reset),
    "fin in the headers": answers_once(reply()[:30]),
    "no http": answers_once(b"phone=2125550199&code=48213\r\n\r\n"),
    "length short by one": answers_once(reply()[:-1]),
    "length longer, document whole": answers_once(reply(GOOD + b"\n")[:-1]),
    "chunks cut": cut_chunks,
    "chunk size no number": answers_once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + GOOD),
    "chunk of a terabyte": answers_once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n" + GOOD),
    "length of a terabyte": answers_once(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n" + GOOD),
    "two lengths": answers_once(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" + reply()[17:]),
    "two lengths, the first one right": answers_once(reply(GOOD, "200 OK", "Content-Length: 99")),
    "body too large": answers_once(reply(b" " * 70_000 + GOOD)),
    "headers too large": answers_once(reply(GOOD, "200 OK", *(f"X-{n}: {'x' * 1000}" for n in range(80)))),
    "too many headers": answers_once(reply(GOOD, "200 OK", *(f"X-{n}: 1" for n in range(300)))),
    "unknown coding": answers_once(reply(b"\x0b\x1f\x80" + GOOD[::-1], "200 OK", "Content-Encoding: br")),
    "coding cut short": answers_once(reply(zlib.compress(GOOD, wbits=31)[:-4], "200 OK", "Content-Encoding: gzip")),
    "compressed bomb": answers_once(reply(zlib.compress(bytes(30_000_000)), "200 OK", "Content-Encoding: deflate")),
    "empty": answers_once(reply(b"")),
    "no content": answers_once(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "neither": answers_once(reply(b"<status>temporarily unavailable</status>")),
    "html": answers_once(reply(b"<!DOCTYPE html><html></html>")),
    "both": answers_once(reply(b"<response><ref>%s</ref><error_code>X</error_code></response>" % REF.encode())),
    "empty response": answers_once(reply(b"<response><ref/></response>")),
    "unreadable ref": answers_once(reply(b"<response><ref>\x01\x02</ref></response>")),
    "503 with half an answer": answers_once(reply(b"<response><ref>97A6", "503 Busy")),
    "503 with an empty response": answers_once(reply(b"<response/>", "503 Busy")),
    "503 cut short": answers_once(reply(b"<html></html>", "503 Busy")[:-1]),
    "other protocol": answers_once(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + reply()),
    "interim answers alone": answers_once(b"HTTP/1.1 102 Processing\r\n\r\n" * 3),
    "flood of interim answers": answers_once(b"HTTP/1.1 103 E\r\n\r\n" * 2000 + reply()),
    "interim answers of 70 KB": answers_once((b"HTTP/1.1 103 E\r\nX: %s\r\n\r\n" % (b"x" * 7000)) * 10 + reply()),
    **{str(n): answers_once(reply(b"<p>", f"{n} X")) for n in (400, 401, 403, 404, 405, 500, 501, 502, 504, 520)},
}  # fmt: skip


@pytest.mark.parametrize("script", LOST.values(), ids=LOST.keys())
def test_answer_that_cannot_be_trusted_is_a_redial(play: Play, script: Script) -> None:
    """The request was read, and what came back decides nothing: the phone may have rung."""
    provider = play(script)
    caller = Caller(provider.url)
    error = caller.fails()
    assert isinstance(error, Redial), error
    assert caller.observed == [("acme", CallResult.PERHAPS_RUNG)]
    assert (len(provider.requests), caller.gates) == (1, 1)


SLOW: dict[str, Script] = {
    "silence": in_turn(Peer.request, Peer.stay_silent),
    "drip in the headers": in_turn(Peer.request, drips(reply())),
    "endless headers": in_turn(Peer.request, drips(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 99)),
    "endless 100 Continue": in_turn(Peer.request, drips(b"HTTP/1.1 100 C\r\n\r\n" * 99)),
    "drip in the body": in_turn(answers_once(reply()[:-50]), drips(reply()[-50:])),
    "endless body": in_turn(answers_once(b"HTTP/1.1 200 OK\r\n\r\n"), drips(b" " * 999)),
}


@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW.keys())
def test_slow_answer_is_a_redial_at_the_deadline(play: Play, script: Script) -> None:
    """The deadline is one for the whole exchange: no drip outlives it."""
    caller = Caller(play(script).url, timeout_seconds=SHORT)
    began = time.monotonic()
    error = caller.fails()
    assert isinstance(error, Redial) and "TimeoutError" in error.message
    assert SHORT * 0.9 < time.monotonic() - began < SOON


def test_deadline_begins_after_the_gate(play: Play, pass_seconds: Callable[[float], None]) -> None:
    """Waiting for the slot is not the provider's time."""
    caller = Caller(play(answers(reply())).url)
    caller.at_gate = lambda: pass_seconds(2 * LONG)
    assert caller.call() == REF


def test_reset_behind_tls_after_the_request_is_a_redial(play: Play, trusted: Path) -> None:
    """The same loss as in a handshake, one phase later."""
    provider = play(over_tls(in_turn(Peer.request, Peer.reset), trusted))
    assert isinstance(Caller(f"https://127.0.0.1:{provider.port}").fails(), Redial)


# Misconfigured.


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 Other", "304 Same", "307 Temporary", "308 For good"]
)
@pytest.mark.parametrize("location", ["Location: /elsewhere", "X-None: 1"])
def test_redirect_is_misconfigured_and_not_followed(play: Play, status: str, location: str) -> None:
    """A redirect, wherever to, is never followed with key and PIN."""
    provider = play(answers(reply(b"", status, location)))
    caller = Caller(provider.url)
    error = caller.fails()
    assert isinstance(error, Misconfigured) and error.sent
    assert len(provider.requests) == 1
    assert caller.observed == [("acme", CallResult.MISCONFIGURED)]


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://host:99999"])
def test_address_that_cannot_be_called_is_a_configuration_error(url: str) -> None:
    """A wrong address stops the program at its start, by the name of its setting."""
    with pytest.raises(ConfigurationError, match="PROXSTOP_URL"):
        Caller(url)
