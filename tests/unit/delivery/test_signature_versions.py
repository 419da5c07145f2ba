"""Both kinds of Standard Webhooks signatures, checked by the libraries that subscribers have."""

from __future__ import annotations

import base64
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from worker.configuration.signing_secrets import SigningSecret, Version, new_secret, signing_secret
from worker.delivery.signing import sign, signatures, verify

EVENT_ID = "evt_ec4eed30c75249d2850e2487f4433236"
BODY = '{"id":"evt_1","note":"Grüße"}'.encode()

# RFC 8032, section 7.1, test 2.
RFC_SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
RFC_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")


def made(version: Version) -> SigningSecret:
    return signing_secret(new_secret(version), "test")


def headers(secrets: list[SigningSecret], body: bytes, unix_seconds: int) -> dict[str, str]:
    return {
        "webhook-id": EVENT_ID,
        "webhook-timestamp": str(unix_seconds),
        "webhook-signature": signatures(secrets, EVENT_ID, unix_seconds, body),
    }


def is_genuine(public_key: str, sent: dict[str, str], body: bytes) -> bool:
    """Return whether any `v1a` signature over `id.timestamp.body` verifies, as a subscriber would."""
    key = Ed25519PublicKey.from_public_bytes(
        base64.b64decode(public_key.removeprefix("whpk_"), validate=True)
    )
    content = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
    for one in sent["webhook-signature"].split(" "):
        version, signature = one.split(",")
        try:
            if version == "v1a":
                key.verify(base64.b64decode(signature, validate=True), content)
                return True
        except InvalidSignature:
            continue
    return False


def test_public_key_is_that_of_the_rfc() -> None:
    """The public key has the spelling of Standard Webhooks: `whpk_` and base64 of 32 bytes."""
    key = signing_secret("whsk_" + base64.b64encode(RFC_SEED).decode(), "test")
    assert key.public_key == "whpk_" + base64.b64encode(RFC_PUBLIC).decode()


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0]], ids=["v1 first", "v1a first"])
def test_each_subscriber_finds_its_signature(order: list[int]) -> None:
    """During a rotation of both kinds, those with either secret or either public key take the event."""
    known = [made(Version.V1), made(Version.V1), made(Version.V1A), made(Version.V1A)]
    sent = headers([known[n] for n in order], BODY, int(time.time()))
    assert [one.split(",")[0] for one in sent["webhook-signature"].split(" ")].count("v1a") == 2
    for secret in known[:2]:
        assert Webhook(secret.written).verify(BODY, sent) == {"id": "evt_1", "note": "Grüße"}
        verify([secret.key], sent, BODY, time.time())
    for secret in known[2:]:
        assert is_genuine(str(secret.public_key), sent, BODY)


def test_nobody_else_does() -> None:
    """No other secret and no other key verifies, and no other bytes do."""
    sent = headers([made(Version.V1), made(Version.V1A)], BODY, int(time.time()))
    with pytest.raises(WebhookVerificationError):
        Webhook(made(Version.V1).written).verify(BODY, sent)
    assert not is_genuine(str(made(Version.V1A).public_key), sent, BODY)


@given(st.text().map(str.encode), st.binary(min_size=16, max_size=80), st.integers(0, 2**33))
def test_versions_do_not_disturb_each_other(body: bytes, key: bytes, unix_seconds: int) -> None:
    """The `v1` signature is what it was before there was a second kind; a changed body fits neither."""
    secret = signing_secret("whsec_" + base64.b64encode(key).decode(), "test")
    private = signing_secret("whsk_" + base64.b64encode(RFC_SEED).decode(), "test")
    sent = headers([secret, private], body, unix_seconds)
    assert sent["webhook-signature"].split(" ")[0] == sign([key], EVENT_ID, unix_seconds, body)
    assert is_genuine(str(private.public_key), sent, body)
    assert not is_genuine(str(private.public_key), sent, body + b"x")
