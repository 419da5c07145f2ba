"""Signatures of webhooks: made by the worker, checked by a receiver.

Source: Standard Webhooks specification 1.0.0, "Signature scheme" (symmetric signatures, `v1`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

TOLERANCE_SECONDS = 300
VERSION = "v1"


class InvalidSignature(ValueError):
    """The request does not prove that it comes from whom it should: answer 401 and ignore it."""


def sign(secrets: Iterable[bytes], event_id: str, unix_seconds: int, body: bytes) -> str:
    """The value of header `webhook-signature`: one signature per secret, separated by spaces.

    `secrets` are the keys themselves, decoded from `whsec_…`; several while one replaces another.
    """
    content = b".".join((event_id.encode(), str(unix_seconds).encode(), body))
    return " ".join(f"{VERSION},{_mac(secret, content)}" for secret in secrets)


def verify(
    secrets: Iterable[bytes], headers: Mapping[str, str], body: bytes, now_unix_seconds: float
) -> None:
    """Return if one of `secrets` signed exactly this body, id and time, no more than five minutes from now.

    `headers` may be spelled in any case. Compares in constant time. Raises InvalidSignature, which names
    what is missing or wrong. Does not remember ids: a receiver that must not act twice keeps them itself.
    """
    event_id, timestamp, given = _fields(headers)
    if abs(now_unix_seconds - timestamp) > TOLERANCE_SECONDS:
        raise InvalidSignature("webhook-timestamp is more than five minutes away")
    expected = sign(secrets, event_id, timestamp, body).split()
    if not any(hmac.compare_digest(one.encode(), other.encode()) for one in given for other in expected):
        raise InvalidSignature("no signature in webhook-signature matches")


def _mac(secret: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()


def _fields(headers: Mapping[str, str]) -> tuple[str, int, list[str]]:
    lower = {name.lower(): value for name, value in headers.items()}
    missing = {"webhook-id", "webhook-timestamp", "webhook-signature"} - lower.keys()
    if missing:
        raise InvalidSignature(f"header {min(missing)} is missing")
    timestamp = lower["webhook-timestamp"]
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise InvalidSignature("webhook-timestamp is not a whole number of seconds")
    return lower["webhook-id"], int(timestamp), lower["webhook-signature"].split()
