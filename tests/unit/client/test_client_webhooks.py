"""`callworker.webhooks.verify`, against the worker's signatures, the published example and `standardwebhooks`."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from email.message import Message

import pytest
import starlette.datastructures
import werkzeug.datastructures
from standardwebhooks import Webhook

from callworker.errors import ConfigurationError, InvalidEvent, InvalidSignature
from callworker.webhooks import TOLERANCE_SECONDS, Headers, sign, verify
from worker.configuration.signing_secrets import SigningSecret, Version, new_secret, signing_secret
from worker.delivery.signing import signatures

NOW = 1_800_000_000
BODY = json.dumps({
    "id": "evt_1",
    "type": "call.placed",
    "timestamp": "2027-01-15T08:00:00.000Z",
    "data": {"id": "order-1", "account": "acme", "note": "Grüße", "attempts": 1, "ref": "A" * 32},
}, ensure_ascii=False).encode()  # fmt: skip
SECRET = "whsec_" + base64.b64encode(b"k" * 25).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()


def held(text: str) -> SigningSecret:
    return signing_secret(text, "test")


def signed(*secrets: str, **changes: str) -> dict[str, str]:
    """The headers as a worker sends them with these secrets."""
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(NOW),
        "webhook-signature": signatures(map(held, secrets or (SECRET,)), "evt_1", NOW, BODY),
    } | {name.replace("_", "-"): value for name, value in changes.items()}


def test_workers_request_is_an_event() -> None:
    """A request that a worker signed gives the event in it."""
    event = verify(BODY, signed(), SECRET, now=NOW)
    assert (event.id, event.data.id, event.data.note) == ("evt_1", "order-1", "Grüße")


def test_library_of_the_specification_agrees() -> None:
    """What the `standardwebhooks` package signs verifies here, and what this package signs verifies there."""
    now = datetime.now(UTC)
    theirs = Webhook(SECRET).sign("evt_1", now, BODY.decode())
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp()))}
    assert verify(BODY, headers | {"webhook-signature": theirs}, SECRET).id == "evt_1"
    ours = sign(SECRET, "evt_1", int(now.timestamp()), BODY)
    Webhook(SECRET).verify(BODY, headers | {"webhook-signature": ours})


def test_published_example_has_its_signature() -> None:
    """The example of the specification comes out the same here; its body is no event."""
    secret, moment, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1614265330, b'{"test": 2432232314}'
    headers = {
        "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "Webhook-Timestamp": str(moment),
        "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert sign(secret, headers["Webhook-Id"], moment, body) == headers["Webhook-Signature"]
    with pytest.raises(InvalidEvent):
        verify(body, headers, secret, now=moment)


@pytest.mark.parametrize("signers", [(SECRET,), (OTHER, SECRET), (SECRET, OTHER)])
@pytest.mark.parametrize(
    "known", [SECRET, [SECRET], (OTHER, SECRET), SECRET.removeprefix("whsec_"), SECRET.rstrip("=")]
)
def test_one_of_the_secrets_is_enough(signers: tuple[str, ...], known: str | tuple[str, ...]) -> None:
    """While a secret is rotated, both sides may have several; the prefix may be missing, as in other libraries."""
    verify(BODY, signed(*signers), known, now=NOW)


def test_public_key_verifies_v1a() -> None:
    """A receiver that has only the public key verifies `v1a`, and nothing else."""
    private, stranger = held(new_secret(Version.V1A)), held(new_secret(Version.V1A))
    assert private.public_key
    assert stranger.public_key
    headers = signed(private.written)
    verify(BODY, headers, [OTHER, private.public_key], now=NOW)
    for wrong in (signed(), signed(webhook_signature="v1a,AAAA"), signed(webhook_signature="v1a,é")):
        with pytest.raises(InvalidSignature, match="no signature"):
            verify(BODY, wrong, private.public_key, now=NOW)
    with pytest.raises(InvalidSignature, match="no signature"):
        verify(BODY, headers, stranger.public_key, now=NOW)


def _message(headers: dict[str, str]) -> Message:
    message = Message()
    for name, value in headers.items():
        message[name] = value
    return message


@pytest.mark.parametrize(
    "form",
    [
        lambda headers: {name.title(): value for name, value in headers.items()},
        starlette.datastructures.Headers,
        werkzeug.datastructures.Headers,
        _message,
    ],
    ids=["dict", "starlette", "werkzeug", "http.server"],
)
def test_headers_may_come_from_any_framework(form: type[Headers]) -> None:
    """The case of names does not count, nor whether the headers are a real dict."""
    verify(BODY, form(signed()), SECRET, now=NOW)  # type: ignore[call-arg]


@pytest.mark.parametrize("away", [-TOLERANCE_SECONDS, TOLERANCE_SECONDS])
def test_clocks_may_differ_by_the_tolerance(away: int) -> None:
    """The tolerance counts in both directions, includes its end, and can be chosen."""
    verify(BODY, signed(), SECRET, now=NOW + away)
    beyond = NOW + away + (1 if away > 0 else -1)
    with pytest.raises(InvalidSignature, match="more than 300 seconds"):
        verify(BODY, signed(), SECRET, now=beyond)
    verify(BODY, signed(), SECRET, now=beyond, tolerance=301)


def test_time_is_that_of_the_clock() -> None:
    """Without `now`, an old request is refused and one of this moment is not."""
    moment = int(time.time())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(moment),
        "webhook-signature": sign(SECRET, "evt_1", moment, BODY),
    }
    verify(BODY, headers, SECRET)
    old = moment - 1000
    headers |= {"webhook-timestamp": str(old), "webhook-signature": sign(SECRET, "evt_1", old, BODY)}
    with pytest.raises(InvalidSignature, match="seconds away"):
        verify(BODY, headers, SECRET)


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_missing_header_is_named(header: str) -> None:
    """Each of the three headers is required."""
    headers = signed()
    del headers[header]
    with pytest.raises(InvalidSignature, match=header):
        verify(BODY, headers, SECRET, now=NOW)


@pytest.mark.parametrize("timestamp", ["", "1.8e9", "-1800000000", "NaN", "٤", "9" * 5000])
def test_timestamp_that_is_no_number_is_refused(timestamp: str) -> None:
    """A foreign timestamp ends in InvalidSignature, never in another error."""
    with pytest.raises(InvalidSignature):
        verify(BODY, signed(webhook_timestamp=timestamp), SECRET, now=NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook_id": "evt_2"},
        {"webhook_id": "\udcff"},
        {"webhook_timestamp": str(NOW + 1)},
        {"webhook_signature": ""},
        {"webhook_signature": sign(OTHER, "evt_1", NOW, BODY)},
        {"webhook_signature": sign(SECRET, "evt_1", NOW, BODY)[:-1]},
        {"webhook_signature": sign(SECRET, "evt_1", NOW, BODY).removeprefix("v1,")},
        {"webhook_signature": "v1a," + sign(SECRET, "evt_1", NOW, BODY).removeprefix("v1,")},
        {"webhook_signature": "v1,\udcff"},
    ],
)
def test_anything_changed_is_refused(changes: dict[str, str]) -> None:
    """Id, time and signature are bound together."""
    with pytest.raises(InvalidSignature):
        verify(BODY, signed(**changes), SECRET, now=NOW)


def test_other_body_is_refused() -> None:
    """One changed byte is another body."""
    with pytest.raises(InvalidSignature, match="no signature"):
        verify(BODY.replace(b"placed", b"failed"), signed(), SECRET, now=NOW)


@pytest.mark.parametrize("secrets", ["", "whsec_", "whsec_!", "whpk_AAAA", [], ["whsec_!", SECRET]])
def test_unusable_secret_is_an_error_of_the_installation(secrets: str | list[str]) -> None:
    """A forgotten variable must not look like a forged request, and the error repeats no secret."""
    with pytest.raises(ConfigurationError, match="^secrets: ") as caught:
        verify(BODY, signed(), secrets, now=NOW)
    assert SECRET not in str(caught.value)


def test_parsed_body_is_refused() -> None:
    """The usual mistake, to verify what a framework has parsed, is told as such."""
    with pytest.raises(TypeError, match="before they are parsed"):
        verify(BODY.decode(), signed(), SECRET, now=NOW)  # type: ignore[arg-type]
