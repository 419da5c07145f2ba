"""What the provider's client writes, when it writes it, and which connections it trusts, on real sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pytest

from tests.contract.provider_caller import JOB, KEY, Caller
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
    expect,
    in_turn,
    reply,
)
from tests.processes import wait_until
from worker.core.jobs import Job
from worker.errors import (
    AccountProblem,
    Redial,
    Refused,
    Retry,
    SlotLapsed,
)
from worker.http import connection
from worker.provider import Connections

# The request.

pytest_plugins = ["tests.contract.provider_fixtures"]


def test_request_is_a_form_and_its_url_says_nothing(play: Play) -> None:
    """Key, number and PIN are in the body alone; unset fields are left out."""
    provider = play(answers(reply()))
    job = Job(
        id="job-1", account="acme", country="44", phone="2075550199", code="48213", ref="Grüße & €", ext="12"
    )
    Caller(provider.url + "/api").call(job)
    head, _, body = provider.requests[0].partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /api/telephonecall.xml HTTP/1.1"
    assert b"Accept-Encoding: identity" in head.splitlines()
    assert b"Content-Type: application/x-www-form-urlencoded" in head.splitlines()
    assert {name: value for name, [value] in parse_qs(body.decode(), strict_parsing=True).items()} == {
        "key": KEY, "country": "44", "phone": "2075550199", "code": "48213", "message": "English",
        "ref": "Grüße & €", "ext": "12",
    }  # fmt: skip


@pytest.mark.parametrize("extended", [False, True])
def test_exttype_is_sent_only_where_it_is_switched_on(play: Play, extended: bool) -> None:
    """The older page's field stays off the wire unless the operator wants it."""
    provider = play(answers(reply()))
    fields = {
        "id": "j",
        "account": "acme",
        "country": "1",
        "phone": "2125550199",
        "code": "48213",
        "exttype": 2,
    }
    Caller(provider.url, extended=extended).call(Job.parse(fields, extended=True))
    assert (b"exttype=2" in provider.requests[0]) == extended


def test_environment_names_no_proxy_for_calls(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Key and PIN go to the provider itself, whatever proxy variables say."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert Caller(play(answers(reply())).url).call() == REF


# The gate.


def test_gate_opens_before_any_byte_is_written(play: Play) -> None:
    """When the gate opens, the connection is open and the server has received nothing."""
    asked, seen = threading.Event(), []

    def look(peer: Peer) -> None:
        expect(asked)
        peer.sock.settimeout(0.1)
        try:
            seen.append(peer.sock.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            seen.append(b"")
        looked.set()
        peer.sock.settimeout(5)
        peer.answer(reply())

    looked = threading.Event()
    caller = Caller(play(look).url)

    def let_look() -> None:
        asked.set()
        expect(looked)

    caller.at_gate = let_look
    assert caller.call() == REF
    assert (seen, caller.gates) == ([b""], 1)


@pytest.mark.parametrize(
    "refusal", [SlotLapsed(), ConnectionResetError(), BrokenPipeError(), TimeoutError(), ValueError()]
)
def test_what_the_gate_raises_comes_out_as_it_is(play: Play, refusal: Exception) -> None:
    """The gate's refusal is nobody else's to translate, nothing was sent, and the connection serves the next try."""
    provider = play(answers(reply()))
    caller = Caller(provider.url)

    def refuse() -> None:
        raise refusal

    caller.at_gate = refuse
    for _ in range(2):
        with pytest.raises(type(refusal)) as caught:
            caller.call()
        assert caught.value is refusal
    assert (provider.requests, caller.observed) == ([], [])
    caller.at_gate = lambda: None
    assert caller.call() == REF
    assert (provider.connections, len(provider.requests)) == (1, 1)


def test_interrupted_gate_sends_nothing(play: Play) -> None:
    """Ctrl-C at the gate passes through."""
    provider = play(answers(reply()))
    caller = Caller(provider.url)

    def interrupt() -> None:
        raise KeyboardInterrupt

    caller.at_gate = interrupt
    with pytest.raises(KeyboardInterrupt):
        caller.call()
    assert provider.requests == []


# Kept connections.


def test_connection_is_kept_after_answers_that_were_understood(play: Play) -> None:
    """Refs and errors alike leave the connection ready for the next call."""
    provider = play(in_turn(answers_once(reply(INVALID)), answers(reply())))
    caller = Caller(provider.url)
    assert isinstance(caller.fails(), Refused)
    assert [caller.call() for _ in range(3)] == [REF] * 3
    assert provider.connections == 1


ODD: dict[str, bytes] = {
    "interim answer": b"HTTP/1.1 103 Early Hints\r\n\r\n" + reply(),
    "length told twice": reply(GOOD, "200 OK", f"Content-Length: {len(GOOD)}"),
    "more than its length": reply() + b"\r\n",
    "wrong coding": reply(GOOD, "200 OK", "Content-Encoding: gzip"),
    "repaired": reply(GOOD + b"&"),
    "odd ref": reply(GOOD.replace(REF.encode(), b"7")),
    "repaired error": reply(INVALID.replace(b".", b"&")),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD.keys())
def test_connection_is_not_kept_after_an_odd_answer(play: Play, answer: bytes) -> None:
    """A server that does one thing unusually may send two answers: none reaches into the next call (E14)."""
    provider = play(answers(answer), answers(reply()))
    caller = Caller(provider.url)
    with contextlib.suppress(Refused):
        caller.call()
    assert caller.call() == REF
    assert (provider.connections, len(caller.oddities)) == (2, 1)


def test_connection_that_one_of_two_fields_closes_is_not_kept(play: Play) -> None:
    """A proxy adds its field to the server's; to read the first one alone risks a request on a closing connection."""
    closing = reply(GOOD, "200 OK", "Connection: keep-alive", "Connection: close")
    provider = play(answers(closing), answers(reply()))
    caller = Caller(provider.url)
    assert [caller.call() for _ in range(2)] == [REF] * 2
    assert provider.connections == 2


@pytest.mark.parametrize(
    "answer", [reply(b""), reply(b"<p>", "503 Busy"), reply(b"", "302 Found"), reply(b"{}")]
)
def test_connection_is_not_kept_after_other_answers(play: Play, answer: bytes) -> None:
    """A connection is closed after an unusable answer, because the server may send more."""
    provider = play(answers(answer), answers(reply()))
    caller = Caller(provider.url)
    caller.fails()
    assert caller.call() == REF
    assert provider.connections == 2


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_connection_closed_between_calls_is_replaced(play: Play, reset: bool) -> None:
    """An idle connection that the server closed costs neither an attempt nor a redial."""
    departure = Departure(reset=reset)
    provider = play(in_turn(answers_once(reply()), departure), answers(reply()))
    caller = Caller(provider.url)
    assert caller.call() == REF
    departure.happen()
    caller.at_gate = lambda: wait_until(lambda: provider.connections == 2, "reconnected before the gate")
    assert caller.call() == REF
    assert (provider.connections, len(provider.requests), caller.gates) == (2, 2, 2)


def test_kept_connection_closed_at_the_gate_is_replaced(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost while the slot was waited for: reconnected, sent once, and the gate not asked again."""
    monkeypatch.setattr(connection, "LATE_SECONDS", 5)
    departure = Departure(reset=False)
    provider = play(in_turn(answers_once(reply()), departure), answers(reply()))
    caller = Caller(provider.url)
    caller.call()
    caller.at_gate = departure.happen
    assert caller.call() == REF
    assert (provider.connections, len(provider.requests), caller.gates) == (2, 2, 2)


def test_request_that_would_leave_late_is_not_sent(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow reconnection behind the gate misses the slot: nothing is sent, and the next try needs none."""
    monkeypatch.setattr(connection, "LATE_SECONDS", 0)
    departure = Departure(reset=False)
    provider = play(in_turn(answers_once(reply()), departure), answers(reply()))
    caller = Caller(provider.url)
    caller.call()
    caller.at_gate = departure.happen
    with pytest.raises(SlotLapsed):
        caller.call()
    assert len(provider.requests) == 1
    assert caller.call() == REF
    assert (provider.connections, len(provider.requests), caller.gates) == (2, 2, 3)


def test_kept_connection_lost_while_writing_is_a_redial(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """A close that comes after the last look cannot be told from one after the request was read."""
    departure = Departure(reset=False)
    provider = play(in_turn(answers_once(reply()), departure), answers(reply()))
    caller = Caller(provider.url)
    caller.call()
    departure.happen()
    monkeypatch.setattr(connection.Connection, "_is_silent", lambda _: True)
    assert isinstance(caller.fails(), Redial)
    assert len(provider.requests) == 1


def test_connection_idle_too_long_is_replaced(play: Play, pass_seconds: Callable[[float], None]) -> None:
    """A server may close an idle connection just as it is written to: it is not taken that far."""
    provider = play(answers(reply()))
    caller = Caller(provider.url)
    caller.call()
    pass_seconds(connection.MAX_IDLE_TAKEN_SECONDS + 0.1)
    assert caller.call() == REF
    assert provider.connections == 2


def test_wait_at_the_gate_counts_as_idle_time(
    play: Play, pass_seconds: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kept connection that grew old at the gate is replaced, a new one is not."""
    monkeypatch.setattr(connection, "LATE_SECONDS", 5)
    provider = play(answers(reply()))
    caller = Caller(provider.url)
    caller.at_gate = lambda: pass_seconds(connection.MAX_IDLE_WRITTEN_SECONDS + 0.1)
    assert caller.call() == REF
    assert provider.connections == 1
    assert caller.call() == REF
    assert (provider.connections, caller.gates) == (2, 2)


def test_each_call_has_a_connection_of_its_own_where_none_is_kept(play: Play) -> None:
    """PROXSTOP_KEEPALIVE=off prevents that a second, late answer is taken for that of another call (E14)."""
    late = threading.Event()

    def twice(peer: Peer) -> None:
        peer.answer(reply())
        expect(late)
        peer.sock.sendall(reply(GOOD.replace(b"97A6", b"DEAD")))

    provider = play(
        twice, in_turn(Peer.request, lambda _: late.set(), lambda peer: peer.sock.sendall(reply()))
    )
    caller = Caller(provider.url, connections=Connections(kept=0))
    assert [caller.call(), caller.call()] == [REF, REF]
    assert provider.connections == 2
    assert all(b"Connection: close" in request for request in provider.requests)


STRAY: dict[str, bytes] = {
    "a second answer": reply() + reply(GOOD.replace(b"97A6", b"DEAD")),
    "an interim answer": b"HTTP/1.1 103 Early Hints\r\n\r\n" + reply(GOOD.replace(b"97A6", b"DEAD")),
    "more than its length": reply()[: -len(GOOD)] + GOOD + b"HTTP/1.1 200 OK\r\n",
}


@pytest.mark.parametrize("answer", STRAY.values(), ids=STRAY.keys())
def test_stray_bytes_never_become_the_next_calls_answer(play: Play, answer: bytes) -> None:
    """Bytes left over from one exchange are dropped with its connection."""
    provider = play(answers(answer), answers(reply()))
    caller = Caller(provider.url)
    with contextlib.suppress(Redial):
        caller.call()
    assert caller.call() == REF
    assert provider.connections == 2


def test_late_stray_answer_is_not_taken_by_the_next_call(play: Play) -> None:
    """A second answer that arrives between two calls is noticed before the next one is written."""
    sent = threading.Event()

    def twice(peer: Peer) -> None:
        peer.answer(reply())
        expect(go)
        peer.sock.sendall(reply(GOOD.replace(b"97A6", b"DEAD")))
        sent.set()
        peer.stay_silent()

    go = threading.Event()
    provider = play(twice, answers(reply()))
    caller = Caller(provider.url)
    assert caller.call() == REF
    go.set()
    expect(sent)
    assert caller.call() == REF
    assert provider.connections == 2


def test_threads_get_their_own_answers(play: Play) -> None:
    """Forty threads on shared connections: each job's ref is its own, each phase its own.

    The ref must not hold the number as it is, or it is taken for a leak of it (E13).
    """

    def ref_for(phone: str) -> str:
        return phone[::-1].zfill(32)

    def echo(peer: Peer) -> None:
        while request := peer.request():
            phone = parse_qs(request.partition(b"\r\n\r\n")[2].decode())["phone"][0]
            peer.sock.sendall(reply(b"<response><ref>%s</ref></response>" % ref_for(phone).encode()))

    caller = Caller(play(echo).url)
    jobs = [JOB.model_copy(update={"phone": str(2125550000 + n)}) for n in range(400)]
    with ThreadPoolExecutor(40) as threads:
        assert list(threads.map(caller.call, jobs)) == [ref_for(job.phone) for job in jobs]


# What may be known outside.


ECHO = f"key={KEY}&phone={JOB.phone}&code={JOB.code}".encode()


@pytest.mark.parametrize(
    "script",
    [
        answers_once(ECHO),
        answers_once(reply(ECHO)),
        Peer.request,
        in_turn(answers_once(reply()[:30]), Peer.reset),
    ],
    ids=["echo", "echo in the body", "fin", "rst"],
)
def test_errors_hold_nothing_of_the_request(play: Play, script: Script) -> None:
    """No exception of the chain, printed or kept, carries the request: those of `requests` would."""
    problem: BaseException | None = Caller(play(script).url).fails()
    while problem is not None:
        assert not any(secret in repr(vars(problem)) + repr(problem) for secret in (KEY, JOB.phone, JOB.code))
        assert "request" not in vars(problem)
        problem = problem.__cause__ or problem.__context__
        assert problem is None or problem.__traceback__ is None


def test_balance_is_read(play: Play) -> None:
    """The balance call asks with the key alone and gives whole points."""
    provider = play(answers(reply(b"<response><balance>124</balance></response>")))
    assert Caller(provider.url).client.balance(KEY) == 124
    assert provider.requests[0].endswith(b"\r\n\r\nkey=" + KEY.encode())


def test_balance_with_a_wrong_key_is_an_account_problem(play: Play) -> None:
    """A wrong key is an account problem, so that `doctor` can tell it from an unreachable provider."""
    provider = play(answers(reply(INVALID.replace(b"INVALID_TELEPHONE", b"INVALID_KEY"))))
    with pytest.raises(AccountProblem):
        Caller(provider.url).client.balance(KEY)


def test_closed_client_sends_nothing(play: Play) -> None:
    """After `close` a call is not sent; it does not fail in some other way."""
    caller = Caller(play(answers(reply())).url)
    caller.call()
    caller.client.close()
    assert isinstance(caller.fails(), Retry)


def test_request_whose_moment_has_passed_is_not_begun(play: Play) -> None:
    """A thread that was held up between gate and first byte sends nothing; the connection serves the next call."""
    provider = play(answers(reply()))
    caller = Caller(provider.url)
    caller.at_gate = lambda: 0.0
    with pytest.raises(SlotLapsed):
        caller.call()
    assert (provider.requests, caller.observed) == ([], [])
    caller.at_gate = lambda: None
    assert caller.call()
    assert len(provider.requests) == 1


def test_each_attempt_is_told_sent_or_not(play: Play) -> None:
    """With the status of an answer, and the error if there is no ref. One that found no slot is no attempt."""
    caller = Caller(play(in_turn(answers_once(reply()), answers(reply(INVALID)))).url)
    caller.call()
    assert isinstance(caller.fails(), Refused)
    caller.at_gate = lambda: 0.0
    with pytest.raises(SlotLapsed):
        caller.call()
    nobody_there = Caller("http://127.0.0.1:1")
    assert isinstance(nobody_there.fails(), Retry)
    (placed, refused), (unsent,) = caller.attempts, nobody_there.attempts
    assert placed[1:] == (200, None) and refused[1] == 200 and isinstance(refused[2], Refused)
    assert unsent[1] is None and isinstance(unsent[2], Retry) and unsent[0] > 0
