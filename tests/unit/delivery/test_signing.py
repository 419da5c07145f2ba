"""Webhook signatures, against the published example and against HMAC done by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.delivery.signing import TOLERANCE_SECONDS, InvalidSignature, sign, verify

# The example in the Standard Webhooks specification and in the documentation of its first implementation, Svix.
PUBLISHED_KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
PUBLISHED_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
PUBLISHED_TIME = 1614265330
PUBLISHED_BODY = b'{"test": 2432232314}'
PUBLISHED_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

KEY, OTHER_KEY = b"k" * 24, b"o" * 32
NOW = 1_800_000_000
BODY = '{"id":"evt_1","note":"Grüße"}'.encode()


def signed(**changes: str) -> dict[str, str]:
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(NOW),
        "webhook-signature": sign([KEY], "evt_1", NOW, BODY),
    }
    return headers | {name.replace("_", "-"): value for name, value in changes.items()}


def test_signature_is_the_published_one() -> None:
    """The example that other implementations are tested with comes out the same here."""
    signature = sign([PUBLISHED_KEY], PUBLISHED_ID, PUBLISHED_TIME, PUBLISHED_BODY)
    assert signature == PUBLISHED_SIGNATURE


def test_published_example_verifies() -> None:
    """A receiver accepts the published example at its time."""
    headers = {
        "Webhook-Id": PUBLISHED_ID,
        "Webhook-Timestamp": str(PUBLISHED_TIME),
        "Webhook-Signature": PUBLISHED_SIGNATURE,
    }
    verify([PUBLISHED_KEY], headers, PUBLISHED_BODY, PUBLISHED_TIME + 1)


def test_several_secrets_give_several_signatures() -> None:
    """During a rotation each secret signs, in order; a space separates the signatures."""
    content = b"evt_1.1800000000." + BODY
    by_hand = [
        "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        for key in (KEY, OTHER_KEY)
    ]
    assert sign([KEY, OTHER_KEY], "evt_1", NOW, BODY) == " ".join(by_hand)


@pytest.mark.parametrize("keys", [[KEY], [OTHER_KEY, KEY]])
def test_receiver_needs_one_of_its_secrets_to_match(keys: list[bytes]) -> None:
    """Old and new secret may differ in number on the two sides."""
    verify(keys, signed(webhook_signature=sign([b"x" * 24, KEY], "evt_1", NOW, BODY)), BODY, NOW)


@pytest.mark.parametrize("away", [-TOLERANCE_SECONDS, TOLERANCE_SECONDS])
def test_clocks_may_differ_by_five_minutes(away: int) -> None:
    """The tolerance counts in both directions and includes its end."""
    verify([KEY], signed(), BODY, NOW + away)
    with pytest.raises(InvalidSignature, match="five minutes"):
        verify([KEY], signed(), BODY, NOW + away + (1 if away > 0 else -1))


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_missing_header_is_named(header: str) -> None:
    """Each of the three headers is required."""
    headers = signed()
    del headers[header]
    with pytest.raises(InvalidSignature, match=header):
        verify([KEY], headers, BODY, NOW)


@pytest.mark.parametrize("timestamp", ["", "1.8e9", "-1800000000", "NaN", "٤", "9" * 5000])
def test_timestamp_that_is_no_number_is_refused(timestamp: str) -> None:
    """A foreign timestamp ends in InvalidSignature, never in another error."""
    with pytest.raises(InvalidSignature):
        verify([KEY], signed(webhook_timestamp=timestamp), BODY, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook_id": "evt_2"},
        {"webhook_timestamp": str(NOW + 1)},
        {"webhook_signature": ""},
        {"webhook_signature": "v1a," + PUBLISHED_SIGNATURE},
        {"webhook_signature": sign([OTHER_KEY], "evt_1", NOW, BODY)},
        {"webhook_signature": sign([KEY], "evt_1", NOW, BODY)[:-1]},
        {"webhook_signature": sign([KEY], "evt_1", NOW, BODY).removeprefix("v1,")},
        {"webhook_signature": "v1,ü"},
    ],
)
def test_anything_changed_is_refused(changes: dict[str, str]) -> None:
    """Id, time and signature are all bound together."""
    with pytest.raises(InvalidSignature):
        verify([KEY], signed(**changes), BODY, NOW)


@given(body=st.binary(max_size=64), other=st.binary(max_size=64))
def test_signature_holds_for_exactly_one_body(body: bytes, other: bytes) -> None:
    """The signed body verifies; any other body does not."""
    headers = signed(webhook_signature=sign([KEY], "evt_1", NOW, body))
    verify([KEY], headers, body, NOW)
    if other != body:
        with pytest.raises(InvalidSignature):
            verify([KEY], headers, other, NOW)
