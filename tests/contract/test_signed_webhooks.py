"""What a subscriber receives while secrets change, checked by the subscribers' own libraries."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from tests.doubles.subscribers import local_endpoint
from tests.integration.receiver import Hook, Receiver
from worker.configuration.replacing import rewrite
from worker.configuration.secret_files import rotated
from worker.configuration.signing_secrets import Version, new_secret, signing_secret
from worker.delivery.ports import AttemptResult
from worker.delivery.secrets import LOOK_SECONDS, Secrets
from worker.delivery.webhooks import WebhookSender

BODY = '{"id":"evt_1","note":"Grüße"}'.encode()


class Scene:
    """An endpoint with both kinds of signatures, its file of secrets, and a sender whose clock can be moved."""

    def __init__(self, receiver: Receiver, file: Path) -> None:
        self.receiver, self.file, self.later = receiver, file, 0.0
        self.secret, self.private = new_secret(Version.V1), new_secret(Version.V1A)
        file.write_text(f"{self.secret}\n{self.private}\n")
        self.endpoint = local_endpoint(
            f"{receiver.url}/hook", secret_file=file, signatures=(Version.V1, Version.V1A)
        )
        self.sender = WebhookSender(Secrets({}, clock=lambda: time.monotonic() + self.later))

    def close(self) -> None:
        self.sender.close()

    def rotate(self, version: Version, until: datetime) -> str:
        new = new_secret(version)
        rewrite(self.file, lambda text: rotated(text, new, datetime.now(UTC), until))
        self.later += LOOK_SECONDS
        return new

    def sent(self, later: timedelta = timedelta()) -> Hook:
        """The next webhook, signed as of now or later."""
        attempt = self.sender.send(self.endpoint, "evt_1", BODY, int(time.time() + later.total_seconds()))
        assert attempt.result is AttemptResult.DELIVERED
        return self.receiver.hooks[-1]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Receiver() as receiver, closing(Scene(receiver, tmp_path / "secrets")) as scene:
        yield scene


def takes(secret: str, hook: Hook) -> bool:
    """Return whether the PyPI package `standardwebhooks` accepts the request as genuine."""
    try:
        Webhook(secret).verify(hook.body, dict(hook.headers), json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def takes_with(private: str, hook: Hook) -> bool:
    """Return whether one of its `v1a` signatures fits the public key that was printed for `private`."""
    public = str(signing_secret(private, "").public_key).removeprefix("whpk_")
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public))
    content = f"{hook.event_id}.{hook.headers['webhook-timestamp']}.".encode() + hook.body
    given = [one.partition(",") for one in hook.headers["webhook-signature"].split(" ")]
    return any(_fits(key, signature, content) for version, _, signature in given if version == "v1a")


def _fits(key: Ed25519PublicKey, signature: str, content: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature), content)
    except Exception:
        return False
    return True


def test_both_kinds_are_in_one_header(scene: Scene) -> None:
    """Each subscriber takes the kind it knows."""
    hook = scene.sent()
    assert takes(scene.secret, hook) and takes_with(scene.private, hook)
    given = hook.headers["webhook-signature"].split(" ")
    assert [one.partition(",")[0] for one in given] == ["v1", "v1a"]


@pytest.mark.parametrize("version", list(Version), ids=str)
def test_rotation_has_no_gap(scene: Scene, version: Version) -> None:
    """A rotation needs no restart: first the old secret signs, then both until the end, then only the new one."""
    old, fits = (scene.secret, takes) if version is Version.V1 else (scene.private, takes_with)
    assert fits(old, scene.sent())
    new = scene.rotate(version, datetime.now(UTC) + timedelta(hours=1))
    during = scene.sent()
    assert fits(old, during) and fits(new, during)
    assert len(during.headers["webhook-signature"].split(" ")) == 3
    # The end comes without a look at the file; the library itself refuses times that are so far ahead.
    after = scene.sent(timedelta(hours=2))
    assert len(after.headers["webhook-signature"].split(" ")) == 2


def test_old_secret_does_not_sign_after_its_end(scene: Scene) -> None:
    """A secret that leaked is worth nothing from then on."""
    new = scene.rotate(Version.V1, datetime.now(UTC))
    hook = scene.sent()
    assert takes(new, hook) and not takes(scene.secret, hook)


def test_broken_file_costs_no_signature(scene: Scene) -> None:
    """Deliveries go on with the secrets from before."""
    scene.sent()
    scene.file.write_text("whsec_x\n")
    scene.later += LOOK_SECONDS
    assert takes(scene.secret, scene.sent())
