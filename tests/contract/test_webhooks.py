"""Webhooks against real sockets: what a subscriber receives, and what each of its answers means."""

from __future__ import annotations

import base64
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from email.utils import formatdate
from pathlib import Path

import gevent
import pytest

from tests.doubles.subscribers import (
    BODY,
    Behaviour,
    answering,
    behind_tls,
    dripping,
    headers_of,
    local_endpoint,
    resetting,
    subscriber,
)
from tests.processes import wait_until
from worker import __version__
from worker.delivery.ports import Attempt, AttemptResult
from worker.delivery.secrets import Secrets
from worker.delivery.signing import verify
from worker.delivery.webhooks import WebhookSender
from worker.errors import Cause, ConfigurationError
from worker.http import addresses, connection
from worker.http.client import Idle

pytest_plugins = ["tests.contract.provider_fixtures"]

KEYS = [b"n" * 24, b"o" * 24]
ENVIRON = {
    name: f"whsec_{base64.b64encode(key).decode()}" for name, key in zip(["NEW", "OLD"], KEYS, strict=True)
}
NOW = 1_800_000_000
SOON = 10.0
"""Seconds: long after what gives up soon, and before ATTEMPT_SECONDS, when `sender` does."""


@pytest.fixture
def sender() -> Iterator[WebhookSender]:
    with closing(WebhookSender(Secrets(ENVIRON))) as sender:
        yield sender


@pytest.fixture
def hasty() -> Iterator[WebhookSender]:
    """Gives up soon, for receivers that never come to an end."""
    with closing(WebhookSender(Secrets(ENVIRON), connect_seconds=0.5, total_seconds=0.5)) as sender:
        yield sender


@pytest.fixture
def brisk() -> Iterator[WebhookSender]:
    """Gives up long after a busy machine's receiver has sent what it has to send."""
    with closing(WebhookSender(Secrets(ENVIRON), connect_seconds=4, total_seconds=4)) as sender:
        yield sender


def send(sender: WebhookSender, url: str) -> Attempt:
    return sender.send(local_endpoint(url, secret_env=("NEW", "OLD")), "evt_1", BODY, NOW)


def test_request_is_a_signed_post_of_the_exact_bytes(sender: WebhookSender) -> None:
    """A subscriber receives the body unchanged, with the three headers, and each of its secrets verifies."""
    with subscriber(answering("204 No Content", body=b"")) as server:
        attempt = send(sender, server.url)
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?x=1 HTTP/1.1\r\n")
    assert body == BODY
    headers = headers_of(request)
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == f"callworker/{__version__}"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("evt_1", str(NOW))
    for key in KEYS:
        verify([key], headers, body, NOW)
    assert (attempt.result, attempt.status) == (AttemptResult.DELIVERED, 204)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("200 OK", AttemptResult.DELIVERED),
        ("299 Whatever", AttemptResult.DELIVERED),
        ("301 Moved", AttemptResult.REDIRECTED),
        ("307 Temporary", AttemptResult.REDIRECTED),
        ("304 Not Modified", AttemptResult.REDIRECTED),
        ("400 Bad Request", AttemptResult.REFUSED),
        ("410 Gone", AttemptResult.REFUSED),
        ("500 Oops", AttemptResult.REFUSED),
        ("999 Odd", AttemptResult.REFUSED),
    ],
)
def test_only_2xx_is_success(sender: WebhookSender, status: str, result: AttemptResult) -> None:
    """Every other status is a failure of a named kind, and comes once: nothing is followed or repeated."""
    with subscriber(answering(status, "location: /elsewhere", body=b"")) as server:
        attempt = send(sender, server.url)
        assert (attempt.result, attempt.status) == (result, int(status[:3]))
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("value", "wish"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (formatdate(NOW + 60, usegmt=True), 60.0),
        (formatdate(NOW - 60, usegmt=True), 0.0),
        ("9" * 5000, 43200.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 43200.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("status", ["429 Slow Down", "503 Later"])
def test_retry_after_is_read_in_both_forms_and_clamped(
    sender: WebhookSender, status: str, value: str, wish: float | None
) -> None:
    """Seconds or an HTTP date, from 0 to twelve hours; what cannot be read is no wish."""
    with subscriber(answering(status, f"retry-after: {value}")) as server:
        assert send(sender, server.url).retry_after_seconds == wish


def test_retry_after_of_another_status_is_no_wish(sender: WebhookSender) -> None:
    """Only 429 and 503 speak of when to come back."""
    with subscriber(answering("500 Oops", "retry-after: 120")) as server:
        assert send(sender, server.url).retry_after_seconds is None


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nx-drip: "])
def test_dripped_head_ends_at_the_deadline(hasty: WebhookSender, start: bytes) -> None:
    """Bytes that keep coming do not keep the delivery alive."""
    with subscriber(dripping(start)) as server:
        attempt = send(hasty, server.url)
    assert (attempt.result, attempt.status) == (AttemptResult.TIMEOUT, None)
    assert attempt.seconds < SOON


@pytest.mark.parametrize("length", ["content-length: 100000", "transfer-encoding: chunked"])
def test_dripped_body_does_not_undo_the_status(brisk: WebhookSender, length: str) -> None:
    """The status has decided; the drip ends at the deadline."""
    with subscriber(dripping(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n1".encode())) as server:
        attempt = send(brisk, server.url)
    assert (attempt.result, attempt.status) == (AttemptResult.DELIVERED, 200)
    assert attempt.seconds < SOON


def test_silence_is_a_timeout(hasty: WebhookSender) -> None:
    """A subscriber that reads and says nothing is given up at the deadline."""
    over = threading.Event()

    def silence(sock: socket.socket) -> None:
        over.wait(30)

    with subscriber(silence) as server:
        assert send(hasty, server.url).result is AttemptResult.TIMEOUT
    over.set()


def test_endless_interim_answers_are_a_timeout(hasty: WebhookSender) -> None:
    """`100 Continue` again and again is not an answer."""

    def continuing(sock: socket.socket) -> None:
        while True:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.01)

    with subscriber(continuing) as server:
        assert send(hasty, server.url).result is AttemptResult.TIMEOUT


INTERIM: dict[str, bytes] = {
    "a blank line": b"\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nlink: </b>\r\n\r\n",
    "several": b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 199 X\r\ncontent-length: 5\r\n\r\n" * 30,
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM.keys())
@pytest.mark.parametrize(
    ("status", "result"), [("204 No Content", AttemptResult.DELIVERED), ("500 X", AttemptResult.REFUSED)]
)
def test_interim_answers_are_skipped(
    sender: WebhookSender, interim: bytes, status: str, result: AttemptResult
) -> None:
    """The status that comes after all of 1xx decides, so that an event which was taken is not posted again (A6)."""

    def behaviour(sock: socket.socket) -> None:
        sock.sendall(interim)
        answering(status, body=b"")(sock)

    with subscriber(behaviour) as server:
        attempt = send(sender, server.url)
    assert (attempt.result, attempt.status) == (result, int(status[:3]))


def test_contradictory_lengths_do_not_undo_the_status(brisk: WebhookSender) -> None:
    """A receiver that took the event is not sent it again for what it says of its answer's body (A6)."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok"
    with subscriber(lambda sock: sock.sendall(answer)) as server:
        assert send(brisk, server.url).result is AttemptResult.DELIVERED
        assert send(brisk, server.url).result is AttemptResult.DELIVERED
        assert server.connections == 2


FLOODS: dict[str, bytes] = {
    "many": b"HTTP/1.1 103 E\r\n\r\n" * 2000,
    "large": (b"HTTP/1.1 103 E\r\nx: %s\r\n\r\n" % (b"x" * 30_000)) * 3,
    "one line": b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_flood_of_headers_is_not_read_to_its_end(sender: WebhookSender, flood: bytes) -> None:
    """The number of interim answers and the bytes of all headers together are bounded (A6)."""

    def behaviour(sock: socket.socket) -> None:
        sock.sendall(flood)
        answering("200 OK")(sock)

    with subscriber(behaviour) as server:
        assert send(sender, server.url).result is AttemptResult.UNREACHABLE


@pytest.mark.parametrize(
    "lines",
    [
        ["content-length: 2, 2"],
        ["content-length: 2", "content-length: 2"],
        ["no colon", "content-length: +2"],
    ],
)
def test_length_told_twice_is_one(sender: WebhookSender, lines: list[str]) -> None:
    """The end of an answer is known at once where equal lengths are repeated: its receiver is not waited for (A6)."""
    answer = "\r\n".join(["HTTP/1.1 200 OK", *lines, "", "ok"]).encode()
    with subscriber(lambda sock: sock.sendall(answer)) as server:
        attempt = send(sender, server.url)
    assert attempt.result is AttemptResult.DELIVERED
    assert attempt.seconds < SOON


@pytest.mark.parametrize(
    "behaviour",
    [resetting, lambda sock: sock.sendall(b"SSH-2.0-OpenSSH\r\n"), lambda sock: sock.close()],
)
def test_no_http_answer_is_unreachable(sender: WebhookSender, behaviour: Behaviour) -> None:
    """A reset, a closed connection and another protocol are failures without a status."""
    with subscriber(behaviour) as server:
        attempt = send(sender, server.url)
    assert (attempt.result, attempt.status) == (AttemptResult.UNREACHABLE, None)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://127.0.0.1:1/", Cause.CONNECT),
        ("http://no-such-host.invalid/", Cause.NAME),
        ("http://[::1%25nope]:1/", None),
    ],
)
def test_no_connection_is_unreachable(sender: WebhookSender, url: str, cause: Cause | None) -> None:
    """Refused, unresolvable and impossible addresses end in a result that says why, not in an error (C10)."""
    attempt = send(sender, url)
    assert attempt.result is AttemptResult.UNREACHABLE and attempt.problem
    assert attempt.cause is (cause or attempt.cause)


@pytest.mark.parametrize(
    ("behaviour", "cause", "problem"),
    [
        (resetting, Cause.CONNECT, "ConnectionResetError: Connection reset by peer"),
        (lambda sock: sock.sendall(b"SSH-2.0-OpenSSH\r\n"), Cause.PROTOCOL, "BadStatusLine"),
        (lambda sock: sock.close(), None, ""),
    ],
)
def test_lost_answer_says_why(
    sender: WebhookSender, behaviour: Behaviour, cause: Cause, problem: str
) -> None:
    """The cause is one of five; beside it is the library's word, and nothing of what came (C10)."""
    with subscriber(behaviour) as server:
        attempt = send(sender, server.url)
    assert attempt.cause in ([cause] if cause else [Cause.CONNECT, Cause.PROTOCOL])
    assert (attempt.problem or "").startswith(problem)


def test_webhook_behind_an_authority_of_the_operators_own(sender: WebhookSender, certificate: Path) -> None:
    """An endpoint's `ca_file` is trusted for it; without one the attempt says that TLS failed, and why (C10)."""
    talk = behind_tls(certificate, answering("200 OK"))
    with subscriber(talk, read=lambda sock: sock.recv(1, socket.MSG_PEEK)) as server:
        url = server.url.replace("http:", "https:")
        trusted = local_endpoint(url, secret_env=("NEW",), ca_file=certificate)
        assert sender.send(trusted, "evt_1", BODY, NOW).result is AttemptResult.DELIVERED
        attempt = send(sender, url)
    assert (attempt.result, attempt.cause) == (AttemptResult.UNREACHABLE, Cause.TLS)
    assert "self-signed" in (attempt.problem or "")


def test_tls_failure_is_unreachable(sender: WebhookSender) -> None:
    """A server that answers a TLS greeting in plain text never sees the event."""
    with subscriber(answering("400 Bad Request"), read=lambda sock: sock.recv(65536)) as server:
        attempt = send(sender, server.url.replace("http:", "https:"))
        assert attempt.result is AttemptResult.UNREACHABLE
        assert not any(BODY in received for received in server.requests)


def test_large_answer_is_not_read_to_its_end(sender: WebhookSender) -> None:
    """Megabytes in an answer cost a few kilobytes, and the next delivery works."""
    with subscriber(answering("200 OK", body=b"x" * 50_000_000)) as server:
        assert send(sender, server.url).result is AttemptResult.DELIVERED
        assert send(sender, server.url).result is AttemptResult.DELIVERED


def test_small_answer_leaves_the_connection_for_the_next(sender: WebhookSender) -> None:
    """Deliveries to one endpoint share a connection."""
    with subscriber(answering("200 OK")) as server:
        for _ in range(3):
            assert send(sender, server.url).result is AttemptResult.DELIVERED
        assert (server.connections, len(server.requests)) == (1, 3)


def test_each_exchange_has_its_own_deadline(brisk: WebhookSender) -> None:
    """A kept connection that served one delivery is bounded by the deadline of the next."""
    answers = iter([answering("200 OK"), dripping(b"HTTP/1.1 200 OK\r\nx: ")])

    def behaviour(sock: socket.socket) -> None:
        next(answers)(sock)

    with subscriber(behaviour) as server:
        assert send(brisk, server.url).result is AttemptResult.DELIVERED
        assert send(brisk, server.url).result is AttemptResult.TIMEOUT


def test_deadline_covers_the_resolution_of_the_name(
    hasty: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name service that does not answer holds up an attempt no longer than a silent receiver would."""
    monkeypatch.setattr(addresses, "getaddrinfo", lambda *_: gevent.sleep(30))
    attempt = send(hasty, "http://receiver.invalid/")
    assert (attempt.result, attempt.cause) == (AttemptResult.TIMEOUT, Cause.TIMEOUT)
    assert attempt.seconds < SOON


@pytest.mark.parametrize(("connect_seconds", "total_seconds"), [(0.3, 30), (30, 0.3)])
def test_deadline_covers_all_addresses_of_a_name(
    deaf_port: int, monkeypatch: pytest.MonkeyPatch, connect_seconds: float, total_seconds: float
) -> None:
    """A hundred silent addresses take no longer than one, and no longer than either bound."""
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", deaf_port))] * 100
    monkeypatch.setattr(addresses, "getaddrinfo", lambda *_: entries)
    sender = WebhookSender(Secrets(ENVIRON), connect_seconds=connect_seconds, total_seconds=total_seconds)
    attempt = send(sender, "http://receiver.invalid/")
    assert (attempt.result, attempt.cause) == (AttemptResult.TIMEOUT, Cause.TIMEOUT)
    assert attempt.seconds < SOON


def test_silent_receiver_holds_up_no_other(sender: WebhookSender) -> None:
    """Deliveries of one thread, each in a greenlet, go on while one of them waits for its answer."""
    over = threading.Event()

    def silence(sock: socket.socket) -> None:
        over.wait(30)

    with subscriber(silence) as silent, subscriber(answering("200 OK")) as quick:
        waiting = gevent.spawn(send, sender, silent.url)
        with gevent.Timeout(30):
            while not silent.requests:
                gevent.sleep(0.01)
        attempts = [gevent.spawn(send, sender, quick.url) for _ in range(16)]
        for attempt in attempts:
            assert attempt.get(timeout=10).result is AttemptResult.DELIVERED
        assert not waiting.ready() and len(silent.requests) == 1
        over.set()
        waiting.kill()


def test_hanging_endpoints_take_no_thread_and_little_memory(sender: WebhookSender) -> None:
    """Five hundred attempts that wait for an answer are greenlets of one thread, of some tens of kilobytes each."""
    attempts, accepted = 500, list[socket.socket]()
    with socket.create_server(("127.0.0.1", 0), backlog=attempts) as listener:

        def accept() -> None:
            accepted.extend(listener.accept()[0] for _ in range(attempts))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        url, before = f"http://127.0.0.1:{listener.getsockname()[1]}/", thread_count()
        tracemalloc.start()
        waiting = [gevent.spawn(send, sender, url) for _ in range(attempts)]
        with gevent.Timeout(30):
            while len(accepted) < attempts or thread.is_alive():
                gevent.sleep(0.01)
        taken_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert not any(attempt.ready() for attempt in waiting)
        assert thread_count() <= before
        assert taken_bytes / attempts < 64 * 1024
        gevent.killall(waiting)
        for sock in accepted:
            sock.close()


def thread_count() -> int:
    """The threads of this process, also those that are not Python's, where the system tells."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


def test_connections_that_were_used_last_are_kept(
    sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many endpoints there are, those of the oldest are closed."""
    monkeypatch.setattr(sender, "_idle", Idle(3))
    with ExitStack() as exits:
        servers = [exits.enter_context(subscriber(answering("200 OK"))) for _ in range(4)]
        for server in [*servers, servers[3], servers[0], servers[0]]:
            assert send(sender, server.url).result is AttemptResult.DELIVERED
        assert [server.connections for server in servers] == [2, 1, 1, 1]
        assert send(sender, servers[1].url).result is AttemptResult.DELIVERED
        assert servers[1].connections == 2 and len(sender._idle) == 3


def test_connection_that_is_too_old_is_closed_when_another_is_kept(
    sender: WebhookSender, pass_seconds: Callable[[float], None]
) -> None:
    """Old ones hold no files while their endpoints have no events."""
    with subscriber(answering("200 OK")) as old, subscriber(answering("200 OK")) as new:
        send(sender, old.url)
        pass_seconds(connection.MAX_IDLE_TAKEN_SECONDS + 0.1)
        send(sender, new.url)
        assert len(sender._idle) == 1
        wait_until(lambda: old.ended == 1, "the old connection is closed")


def test_environment_and_cookies_play_no_part(sender: WebhookSender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables are ignored, and a subscriber's cookie is not sent back."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with subscriber(answering("200 OK", "set-cookie: a=b; Path=/")) as server:
        for _ in range(2):
            assert send(sender, server.url).result is AttemptResult.DELIVERED
    assert "cookie" not in headers_of(server.requests[1])


def test_lost_secret_is_a_configuration_error() -> None:
    """The error names the operator's variable, and nothing is sent unsigned."""
    with subscriber(answering("200 OK")) as server:
        with closing(WebhookSender(Secrets({}))) as sender, pytest.raises(ConfigurationError, match="NEW"):
            send(sender, server.url)
        assert server.connections == 0
