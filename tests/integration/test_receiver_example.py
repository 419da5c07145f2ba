"""The receiver of webhooks in examples/, as a process of its own, asked with signatures of the worker's."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.processes import free_port
from worker.configuration.credentials import signing_key
from worker.delivery.signing import sign

RECEIVER = Path(__file__).parents[2] / "examples/receiver.py"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_" + "A" * 32
EVENT_ID = "evt_1"
EVENT = {"id": EVENT_ID, "type": "call.placed", "data": {"id": "order-4711"}}


class Program:
    """The receiver, and what it has printed once it has ended."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(RECEIVER), str(port)],
            env={"WEBHOOK_SECRET": SECRET},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._url = self._process.stdout.readline().split()[-1]

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        request = urllib.request.Request(self._url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    def end(self) -> str:
        self._process.terminate()
        return self._process.communicate(timeout=30)[0]


@pytest.fixture
def receiver() -> Iterator[Program]:
    """A receiver under way; it has ended afterwards."""
    program = Program(free_port())
    yield program
    program.end()


def headers(body: bytes, secrets: tuple[str, ...] = (SECRET,), age_seconds: int = 0) -> dict[str, str]:
    """Return the headers that the worker sends with `body`, signed with each of `secrets`."""
    sent = int(time.time()) - age_seconds
    signature = sign([signing_key(secret) for secret in secrets], EVENT_ID, sent, body)
    return {"webhook-id": EVENT_ID, "webhook-timestamp": str(sent), "webhook-signature": signature}


def test_receiver_prints_a_genuine_event_once(receiver: Program) -> None:
    """A repeat is answered as the first one was, and is not printed again."""
    body = json.dumps(EVENT).encode()
    assert [receiver.post(body, headers(body)) for _ in range(2)] == [204, 204]
    assert receiver.end().count("order-4711") == 1


def test_receiver_takes_a_signature_among_others(receiver: Program) -> None:
    """The receiver accepts a request with several signatures, as during a rotation."""
    body = json.dumps(EVENT).encode()
    assert receiver.post(body, headers(body, (OTHER_SECRET, SECRET))) == 204


def test_receiver_refuses_what_is_not_genuine(receiver: Program) -> None:
    """Another body, another secret, an old signature, none at all: 401, and nothing is printed but the refusal."""
    body = json.dumps(EVENT).encode()
    assert receiver.post(body + b" ", headers(body)) == 401
    assert receiver.post(body, headers(body, (OTHER_SECRET,))) == 401
    assert receiver.post(body, headers(body, age_seconds=600)) == 401
    assert receiver.post(body, {}) == 401
    assert "order-4711" not in receiver.end()


def test_receiver_refuses_a_large_body(receiver: Program) -> None:
    """More than 64 KiB is answered with 413 before it is read."""
    assert receiver.post(b"x", {"content-length": str(2**20)}) == 413
