"""Receivers of webhooks: each program in examples/receivers whose language is here, asked as its users would be."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.receivers import (
    LANGUAGES,
    OTHER_SECRET,
    SECONDS,
    SECRET,
    Receiver,
    Signer,
    by_the_worker,
    each_signer,
    headers,
)
from tests.doubles.subscribers import local_endpoint
from tests.processes import absent
from worker.delivery.ports import AttemptResult
from worker.delivery.secrets import Secrets
from worker.delivery.webhooks import WebhookSender

EVENT = {"id": "evt_1", "type": "call.placed", "data": {"id": "order-4711", "note": "Grüße"}}
BODY = json.dumps(EVENT, ensure_ascii=False).encode()
JOB = '"order-4711"'
MIB = 2**20
NPM = Path(__file__).parent / "npm_webhooks"


@pytest.fixture(params=LANGUAGES)
def stopped(request: pytest.FixtureRequest, tmp_path: Path) -> Receiver:
    """The receiver of each language that is here, not yet started."""
    return Receiver(request.param, tmp_path)


@pytest.fixture
def receiver(stopped: Receiver) -> Iterator[Receiver]:
    """The same under way, with one secret."""
    with stopped.running(SECRET):
        yield stopped


@each_signer
def test_receiver_acts_once(stopped: Receiver, signer: Signer) -> None:
    """A repeat is answered as the first request was, also after a restart, and nothing is done a second time."""
    with stopped.running(SECRET):
        assert [stopped.post(BODY, headers(BODY, signer=signer)) for _ in range(2)] == [204, 204]
        stopped.wait_until_done(JOB)
    with stopped.running(SECRET):
        assert stopped.post(BODY, headers(BODY, signer=signer)) == 204
        later = BODY.replace(b"4711", b"4712")
        assert stopped.post(later, headers(later, "evt_2", signer=signer)) == 204
        stopped.wait_for("order-4712")
    assert stopped.output.count(JOB) == 1


def test_event_that_was_answered_survives_a_kill(stopped: Receiver) -> None:
    """What the receiver has answered is worked on after the next start, if it was not before."""
    with stopped.running(SECRET) as server:
        assert stopped.post(BODY, headers(BODY)) == 204
        server.kill()
    with stopped.running(SECRET):
        other = BODY.replace(b"4711", b"4712")
        assert stopped.post(other, headers(other, "evt_2")) == 204
        stopped.wait_for("order-4712")
        stopped.wait_for(JOB)


@each_signer
def test_receiver_takes_old_and_new_secret(stopped: Receiver, signer: Signer) -> None:
    """While a secret is rotated, requests may be signed with either or with both."""
    with stopped.running(OTHER_SECRET, SECRET):
        for number, secret in enumerate((SECRET, OTHER_SECRET)):
            given = headers(BODY, f"evt_{number}", secret=secret, signer=signer)
            assert stopped.post(BODY, given) == 204
    with stopped.running(SECRET):
        given = headers(BODY, "evt_3", signer=signer)
        others = [signer(OTHER_SECRET, "evt_3", BODY, int(given["webhook-timestamp"])), "v1a,AAAA"]
        given["webhook-signature"] = " ".join([*others, given["webhook-signature"]])
        assert stopped.post(BODY, given) == 204


@each_signer
def test_receiver_refuses_what_is_not_genuine(receiver: Receiver, signer: Signer) -> None:
    """Another body, secret or id, an old or early time, a missing or wrong header: 401, and nothing is done."""
    genuine = headers(BODY, signer=signer)
    forged = [
        headers(BODY + b" ", signer=signer),
        headers(BODY, secret=OTHER_SECRET, signer=signer),
        headers(BODY, signer=signer, later=-600),
        headers(BODY, signer=signer, later=600),
        *({name: text for name, text in genuine.items() if name != left_out} for left_out in genuine),
        *(genuine | {name: ""} for name in genuine),
        *(genuine | {name: f"x{text}"} for name, text in genuine.items()),
        *(
            genuine | {"webhook-signature": text}
            for text in ("v1", "v1,", ",", "v1,%%%", "v1,a,b", "v2,AAAA")
        ),
        genuine | {"webhook-timestamp": "1e9"},
        genuine | {"webhook-id": "../evt_1"},
        {},
    ]
    assert {receiver.post(BODY, given) for given in forged} == {401}
    assert receiver.post(b"\xff\xfe", headers(BODY)) == 401
    assert JOB not in receiver.output


def test_receiver_limits_the_body(receiver: Receiver) -> None:
    """More than 64 KiB is answered with 413, and a genuine request is still taken after that."""
    too_large = b"x" * (64 * 1024 + 1)
    assert receiver.post(too_large, headers(too_large)) == 413
    assert receiver.post(BODY, headers(BODY)) == 204


@pytest.mark.parametrize("stopped", ["asgi", "node"], indirect=True)
def test_receiver_limits_a_body_of_unknown_length(receiver: Receiver) -> None:
    """The length that counts is the one that came."""
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    assert receiver.post_part(chunk * 3 + b"0\r\n\r\n", transfer_encoding="chunked") == 413


@pytest.mark.parametrize("stopped", ["python", "node"], indirect=True)
def test_large_body_is_refused_before_it_is_read(receiver: Receiver) -> None:
    """The header with its length is enough."""
    assert receiver.post_part(b"x", content_length=str(MIB)) == 413


def test_missing_number_is_told(receiver: Receiver) -> None:
    """The first number is where the receiver begins. One that is skipped is named; one that comes late names none."""
    for number in (7, 8, 12, 9, 13):
        assert receiver.post(BODY, headers(BODY, f"evt_{number}", sequence=number)) == 204
    receiver.wait_for("missing so far: 9 to 11")
    assert receiver.output.count("missing so far") == 1


def test_strange_number_is_no_error(receiver: Receiver) -> None:
    """The number is not signed: whatever it is, the event counts."""
    for number, text in enumerate(("", "x", "-1", "9" * 40)):
        assert receiver.post(BODY, headers(BODY, f"evt_{number}") | {"callworker-sequence": text}) == 204


def test_the_workers_own_sender_delivers(receiver: Receiver) -> None:
    """A request as a worker sends it: all headers, and the bytes of an event."""
    endpoint = local_endpoint(receiver.url, secret_env="SECRET")
    with closing(WebhookSender(Secrets({"SECRET": SECRET}))) as sender:
        attempt = sender.send(endpoint, "evt_1", BODY, int(time.time()))
    assert (attempt.result, attempt.status) == (AttemptResult.DELIVERED, 204)
    receiver.wait_for(JOB)


@pytest.fixture(scope="session")
def npm_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the npm package `standardwebhooks` installed, and the program that uses it."""
    if shutil.which("npm") is None:
        absent("npm")
    folder = tmp_path_factory.mktemp("npm") / "webhooks"
    shutil.copytree(NPM, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=100)
    return folder


def with_npm(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", "check.mjs", *words],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def test_npm_package_takes_the_workers_signature(npm_package: Path) -> None:
    """The package of npm, which JavaScript's subscribers use, takes the request, and refuses another body."""
    given = json.dumps(headers(BODY, signer=by_the_worker))
    assert with_npm(npm_package, "verify", SECRET, given, BODY.decode()).returncode == 0
    refused = with_npm(npm_package, "verify", SECRET, given, BODY.decode() + " ")
    assert refused.returncode != 0 and "No matching signature" in refused.stderr


def test_receiver_takes_the_npm_packages_signature(receiver: Receiver, npm_package: Path) -> None:
    """What that package signs is genuine too."""
    signed = with_npm(npm_package, "sign", SECRET, "msg_1", BODY.decode())
    assert signed.returncode == 0, signed.stderr
    assert receiver.post(BODY, json.loads(signed.stdout)) == 204
