"""Signatures of webhooks. The worker makes them, and a receiver verifies them.

Source: Standard Webhooks specification 1.0.0, "Signature scheme": `v1` is symmetric, `v1a` asymmetric.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from worker.configuration import ed25519
from worker.configuration.signing_secrets import SigningSecret, Version

TOLERANCE_SECONDS = 300


class InvalidSignature(ValueError):
    """The request does not prove where it comes from. Answer 401 and ignore it."""


def signatures(secrets: Iterable[SigningSecret], event_id: str, unix_seconds: int, body: bytes) -> str:
    """Return the value of header `webhook-signature`: one signature per secret, separated by spaces."""
    content = _content(event_id, unix_seconds, body)
    return " ".join(_signature(secret, content) for secret in secrets)


def sign(secrets: Iterable[bytes], event_id: str, unix_seconds: int, body: bytes) -> str:
    """Return the value of header `webhook-signature` with `v1` signatures only.

    `secrets` are the keys, decoded from `whsec_…`. There are several while one replaces another.
    """
    content = _content(event_id, unix_seconds, body)
    return " ".join(_symmetric(secret, content) for secret in secrets)


def verify(
    secrets: Iterable[bytes], headers: Mapping[str, str], body: bytes, now_unix_seconds: float
) -> None:
    """Return if one of `secrets` signed exactly this body, id and time with `v1`, no more than five minutes from now.

    The case of names in `headers` is ignored. Compares in constant time. Raises InvalidSignature, which names what is
    missing or wrong. Does not remember ids: a receiver that must not act twice has to remember them.
    """
    event_id, timestamp, given = _fields(headers)
    if abs(now_unix_seconds - timestamp) > TOLERANCE_SECONDS:
        raise InvalidSignature("webhook-timestamp is more than five minutes away")
    expected = sign(secrets, event_id, timestamp, body).split()
    if not any(hmac.compare_digest(one.encode(), other.encode()) for one in given for other in expected):
        raise InvalidSignature("no signature in webhook-signature matches")


def _content(event_id: str, unix_seconds: int, body: bytes) -> bytes:
    return b".".join((event_id.encode(), str(unix_seconds).encode(), body))


def _signature(secret: SigningSecret, content: bytes) -> str:
    if secret.version is Version.V1:
        return _symmetric(secret.key, content)
    signature = ed25519.signature(secret.key, content)
    return f"{Version.V1A.value},{base64.b64encode(signature).decode()}"


def _symmetric(key: bytes, content: bytes) -> str:
    mac = hmac.new(key, content, hashlib.sha256).digest()
    return f"{Version.V1.value},{base64.b64encode(mac).decode()}"


def _fields(headers: Mapping[str, str]) -> tuple[str, int, list[str]]:
    lower = {name.lower(): value for name, value in headers.items()}
    missing = {"webhook-id", "webhook-timestamp", "webhook-signature"} - lower.keys()
    if missing:
        raise InvalidSignature(f"header {min(missing)} is missing")
    timestamp = lower["webhook-timestamp"]
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise InvalidSignature("webhook-timestamp is not a whole number of seconds")
    return lower["webhook-id"], int(timestamp), lower["webhook-signature"].split()
