"""TLS handshakes that take a lot of computing, with real servers."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.doors import Door, Doors
from tests.integration.misbehaviour import says
from tests.tls import Authority
from worker.core.endpoints import Endpoint
from worker.delivery.ports import AttemptResult
from worker.delivery.secrets import Secrets
from worker.delivery.webhooks import WebhookSender
from worker.errors import Cause
from worker.http import handshakes


@pytest.fixture
def sender() -> Iterator[WebhookSender]:
    with closing(WebhookSender(Secrets({"HOOK_1": "whsec_" + "bm5u" * 8}))) as sender:
        yield sender


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def door(ours: Authority) -> Iterator[Door]:
    """A receiver that has each request make a handshake."""
    pair, context = ours.issue("server"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with Doors() as doors:
        yield doors.open("door", says("200 OK\r\nConnection: close"), tls=context)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each step of a handshake, whether this thread made it."""
    made, done, here = list[bool](), handshakes._done, threading.get_ident()

    def noted(sock: ssl.SSLSocket) -> tuple[Exception | None, float]:
        made.append(threading.get_ident() == here)
        return done(sock)

    monkeypatch.setattr(handshakes, "_done", noted)
    return made


def send(
    sender: WebhookSender, door: Door, authority: Authority | None
) -> tuple[AttemptResult, Cause | None]:
    ca_file = {} if authority is None else {"ca_file": str(authority.pair.certificate)}
    attempt = sender.send(Endpoint.model_validate(door.hook(**ca_file)), "evt_1", b"{}", 1_800_000_000)
    return attempt.result, attempt.cause


def test_usual_handshakes_are_made_where_they_are_needed(
    sender: WebhookSender, ours: Authority, door: Door, threads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To hand one over to another thread would cost more than it takes."""
    monkeypatch.setattr(handshakes, "COSTLY_SECONDS", 60.0)
    for _ in range(2):
        assert send(sender, door, ours) == (AttemptResult.DELIVERED, None)
    assert all(threads) and door.connections == 2


def test_server_whose_handshake_was_costly_gets_no_more_of_the_thread(
    sender: WebhookSender, ours: Authority, door: Door, threads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first handshake shows what it costs; from then on others go on meanwhile, and nothing else changes."""
    monkeypatch.setattr(handshakes, "COSTLY_SECONDS", 0.0)
    assert send(sender, door, ours) == (AttemptResult.DELIVERED, None)
    assert threads[0]
    threads.clear()
    assert send(sender, door, ours) == (AttemptResult.DELIVERED, None)
    assert threads and not any(threads)
    assert send(sender, door, None) == (AttemptResult.UNREACHABLE, Cause.TLS)
