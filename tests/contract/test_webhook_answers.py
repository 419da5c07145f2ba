"""What an attempt tells of an endpoint's answer: the beginning of its body, and the endpoint's wishes."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.doubles.gates import OpenGate
from tests.doubles.subscribers import (
    BODY,
    Behaviour,
    answering,
    dripping,
    headers_of,
    local_endpoint,
    resetting,
    subscriber,
)
from worker import __version__
from worker.delivery.excerpts import READ_BYTES
from worker.delivery.ports import Attempt, AttemptResult
from worker.delivery.secrets import Secrets
from worker.delivery.webhooks import WebhookSender
from worker.errors import SlotLapsed

ENVIRON = {"S": "whsec_" + "bm5u" * 8}
NOW = 1_800_000_000


@pytest.fixture
def sender() -> Iterator[WebhookSender]:
    with closing(WebhookSender(Secrets(ENVIRON))) as sender:
        yield sender


def send(
    sender: WebhookSender, url: str, sequence: int | None = None, gate: OpenGate | None = None
) -> Attempt:
    endpoint = local_endpoint(url, secret_env=("S",))
    return sender.send(endpoint, "evt_1", BODY, NOW, sequence=sequence, gate=gate)


def answered(sender: WebhookSender, behaviour: Behaviour) -> Attempt:
    with subscriber(behaviour) as server:
        return send(sender, server.url)


def saying(answer: bytes) -> Behaviour:
    """Sends these bytes and ends the connection."""

    def say(sock: socket.socket) -> None:
        sock.sendall(answer)
        sock.close()

    return say


HEAD = b"HTTP/1.1 500 Oops\r\n"
BODIES: dict[str, tuple[bytes, bytes]] = {
    "none": (b"content-length: 0\r\n\r\n", b""),
    "short": (b"content-length: 5\r\n\r\nno db", b"no db"),
    "without a length": (b"\r\nno db", b"no db"),
    "in chunks": (b"transfer-encoding: chunked\r\n\r\n3\r\nno \r\n2\r\ndb\r\n0\r\n\r\n", b"no db"),
    "cut short": (b"content-length: 500\r\n\r\nno db", b"no db"),
    "cut in a chunk": (b"transfer-encoding: chunked\r\n\r\nff\r\nno db", b"no db"),
    "long": (b"content-length: 3000\r\n\r\n" + b"x" * 3000, b"x" * 200),
    "huge": (b"content-length: 5000000\r\n\r\n" + b"x" * 5_000_000, b"x" * 200),
    "huge without a length": (b"\r\n" + b"x" * 500_000, b"x" * 200),
    "huge in chunks": (b"transfer-encoding: chunked\r\n\r\n7a120\r\n" + b"x" * 500_000, b"x" * 200),
    "not text": (b"content-length: 3\r\n\r\n\xff\0\n", b"\xff\0\n"),
    "compressed": (b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 50_000_000), b""),
    "plain by name": (b"content-encoding: Identity\r\n\r\nno db", b"no db"),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "shown"), BODIES.values(), ids=BODIES.keys())
def test_attempt_shows_how_the_answers_body_begins(sender: WebhookSender, sent: bytes, shown: bytes) -> None:
    """A bounded part, as it was sent; nothing is decompressed, and no failure to read undoes the status."""
    attempt = answered(sender, saying(HEAD + sent))
    assert (attempt.result, attempt.status, attempt.body[:200]) == (AttemptResult.REFUSED, 500, shown)
    assert len(attempt.body) <= READ_BYTES


def test_dripped_body_is_shown_as_far_as_it_came() -> None:
    """At the deadline, what has come so far counts."""
    with closing(WebhookSender(Secrets(ENVIRON), total_seconds=4.0)) as sender:
        attempt = answered(sender, dripping(HEAD + b"content-length: 100000\r\n\r\nno"))
    assert attempt.status == 500 and attempt.body.startswith(b"no")


def test_lost_answer_shows_no_body(sender: WebhookSender) -> None:
    """There is none to show."""
    assert answered(sender, resetting).body == b""


@pytest.mark.parametrize(
    ("status", "header", "disable", "slow"),
    [
        ("200 OK", "x: y", False, False),
        ("200 OK", "webhook-delivery: disable", True, False),
        ("500 Oops", "Webhook-Delivery:  Disable ", True, False),
        ("500 Oops", "webhook-delivery: enable", False, False),
        ("410 Gone", "x: y", True, False),
        ("404 Not Found", "x: y", False, False),
        ("429 Too Many", "x: y", False, True),
        ("502 Bad Gateway", "x: y", False, True),
        ("503 Unavailable", "x: y", False, True),
        ("504 Timeout", "x: y", False, True),
        ("429 Too Many", "webhook-delivery: disable", True, True),
    ],
)
def test_attempt_tells_what_the_endpoint_wants(
    sender: WebhookSender, status: str, header: str, disable: bool, slow: bool
) -> None:
    """No further events: 410, or the header with any status. Fewer at a time: 429 and what gateways say."""
    attempt = answered(sender, answering(status, header))
    assert (attempt.disable, attempt.slow) == (disable, slow)


def test_event_has_its_number_at_the_endpoint(sender: WebhookSender) -> None:
    """A subscriber notices by it that one is missing; without a number there is no header."""
    with subscriber(answering("200 OK")) as server:
        send(sender, server.url, sequence=41)
        send(sender, server.url)
        first, second = map(headers_of, server.requests)
    assert first["callworker-sequence"] == "41" and "callworker-sequence" not in second


def test_subscriber_is_told_whom_to_ask() -> None:
    """The contact of the installation is in `user-agent`, behind name and version."""
    sender = WebhookSender(Secrets(ENVIRON), contact="hooks@acme.example")
    with closing(sender), subscriber(answering("200 OK")) as server:
        send(sender, server.url)
        assert (
            headers_of(server.requests[0])["user-agent"] == f"callworker/{__version__} (hooks@acme.example)"
        )


def test_gate_lets_the_request_out(sender: WebhookSender) -> None:
    """The request waits for its gate after connecting; kept connections pass one too."""
    with subscriber(answering("200 OK")) as server:
        seen: list[tuple[int, int]] = []
        gate = OpenGate(lambda: seen.append((server.connections, len(server.requests))))
        for _ in range(2):
            assert send(sender, server.url, gate=gate).result is AttemptResult.DELIVERED
    assert seen[1] == (1, 1) and seen[0][1] == 0


def test_request_whose_slot_has_passed_is_not_sent(sender: WebhookSender) -> None:
    """The caller learns of it, and the connection is still good for the next one."""
    with subscriber(answering("200 OK")) as server:
        with pytest.raises(SlotLapsed):
            send(sender, server.url, gate=OpenGate(lambda: time.monotonic() - 1))
        assert send(sender, server.url).result is AttemptResult.DELIVERED
        assert (server.connections, len(server.requests)) == (1, 1)


def test_error_of_the_gate_reaches_the_caller(sender: WebhookSender) -> None:
    """Nothing is sent, and no attempt is made up."""

    def closed() -> None:
        raise KeyError("the gate's own")

    with subscriber(answering("200 OK")) as server:
        with pytest.raises(KeyError, match="the gate's own"):
            send(sender, server.url, gate=OpenGate(closed))
        assert server.requests == []
