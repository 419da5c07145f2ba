"""Verifies webhooks before anything in them is believed.

    event = verify(request.body, request.headers, os.environ["ACME_WEBHOOK_SECRET"])

Source: Standard Webhooks specification 1.0.0, "Signature scheme".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from callworker.errors import ConfigurationError, InvalidSignature
from callworker.events import Event

TOLERANCE_SECONDS = 300
SECRET_PREFIX, PUBLIC_PREFIX = "whsec_", "whpk_"
MAX_DIGITS = 12
"""A timestamp with more digits is a time that nobody will see."""


class Headers(Protocol):
    """The headers of a request, as a dict or as Django, Flask, Starlette and `http.server` have them."""

    def items(self) -> Iterable[tuple[str, str]]: ...


def verify(
    body: bytes,
    headers: Headers,
    secrets: str | Sequence[str],
    *,
    tolerance: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> Event:
    """Return the event in a webhook, once one of `secrets` is known to have signed exactly this body, id and time.

    `body` is the body of the request as it came, before any parsing. `secrets` is the endpoint's secret (`whsec_…`), or
    several while one replaces another. A public key (`whpk_…`) verifies `v1a` signatures, for which the package
    `cryptography` is needed. `tolerance` is how far apart the clocks may be, in seconds; `now` is the time in Unix
    seconds, which tests may set. The case of header names is ignored, and signatures are compared in constant time.

    Raises InvalidSignature, whose text names what is missing or wrong: answer 401. Raises ConfigurationError if a
    secret cannot be one, and InvalidEvent if what was signed is no event. Known weakness: it does not remember ids, so
    a receiver that must not act twice stores each `event.id`.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError("body must be the bytes of the request as they came, before they are parsed")
    checks = [_check(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    if not checks:
        raise ConfigurationError("secrets: is empty; give the secret of the endpoint")
    event_id, timestamp, given = _fields(headers)
    if abs((time.time() if now is None else now) - timestamp) > tolerance:
        raise InvalidSignature(f"webhook-timestamp is more than {tolerance:g} seconds away")
    content = _content(event_id, timestamp, bytes(body))
    if not any(check(content, signature) for check in checks for signature in given):
        raise InvalidSignature("no signature in webhook-signature matches")
    return Event.parse(bytes(body))


def sign(secret: str, event_id: str, unix_seconds: int, body: bytes) -> str:
    """Return the `v1` signature that callworker would send, for tests. Raises ConfigurationError for a wrong secret."""
    return _symmetric(_decoded(secret, SECRET_PREFIX), _content(event_id, unix_seconds, body))


def _content(event_id: str, unix_seconds: int, body: bytes) -> bytes:
    # A header may hold what UTF-8 cannot carry; callworker has signed no such id.
    return b".".join((event_id.encode(errors="replace"), str(unix_seconds).encode(), body))


_Check = Callable[[bytes, str], bool]
"""Tells whether one signature, as the header has it, belongs to the content."""


def _check(secret: str) -> _Check:
    if secret.strip().startswith(PUBLIC_PREFIX):
        return _asymmetric(_decoded(secret, PUBLIC_PREFIX))
    key = _decoded(secret, SECRET_PREFIX)

    def check(content: bytes, given: str) -> bool:
        return hmac.compare_digest(_symmetric(key, content).encode(), given.encode(errors="replace"))

    return check


def _symmetric(key: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def _asymmetric(key: bytes) -> _Check:
    try:
        from cryptography.exceptions import InvalidSignature as Mismatch  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "secrets: a public key needs the package cryptography: pip install callworker-client[ed25519]"
        ) from None
    try:
        public = Ed25519PublicKey.from_public_bytes(key)
    except ValueError:
        raise ConfigurationError("secrets: whpk_… must be followed by the base64 of 32 bytes") from None

    def check(content: bytes, given: str) -> bool:
        version, _, encoded = given.partition(",")
        if version != "v1a":
            return False
        try:
            public.verify(base64.b64decode(encoded, validate=True), content)
        except (Mismatch, ValueError):
            return False
        return True

    return check


def _decoded(secret: str, prefix: str) -> bytes:
    """Return the bytes of a key. Its prefix may be missing, as in other libraries, and its padding."""
    encoded = secret.strip().removeprefix(prefix).rstrip("=")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ConfigurationError(
            f"secrets: a secret must be {prefix} and base64, as callworker signs with it"
        )
    return key


def _fields(headers: Headers) -> tuple[str, int, list[str]]:
    """Return id, time and signatures of a request. Raises InvalidSignature."""
    lower = {name.lower(): value for name, value in headers.items()}
    missing = {"webhook-id", "webhook-timestamp", "webhook-signature"} - lower.keys()
    if missing:
        raise InvalidSignature(f"header {min(missing)} is missing")
    timestamp = lower["webhook-timestamp"]
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= MAX_DIGITS):
        raise InvalidSignature("webhook-timestamp is not a whole number of seconds")
    return lower["webhook-id"], int(timestamp), lower["webhook-signature"].split()
