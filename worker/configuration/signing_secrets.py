"""The secrets that sign an endpoint's events, and how long each one signs."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from worker.configuration import ed25519
from worker.configuration.credentials import (
    PRIVATE_PREFIX,
    SECRET_PREFIX,
    NotACredential,
    canonical_private,
    canonical_secret,
    private_key,
    signing_key,
    trimmed,
)

MIN_ADVISED_BYTES, MAX_ADVISED_BYTES = 24, 64
"""The lengths of a secret in Standard Webhooks 1.0.0. Others sign too, with a warning of `callworker doctor`."""

NEW_BYTES = 32
SHOWN_CHARACTERS = 4
"""How much of a masked secret is shown, at its end."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


class Version(StrEnum):
    """A kind of signature, by its name in header `webhook-signature`."""

    V1 = "v1"
    """HMAC-SHA256 with a secret that both sides know."""
    V1A = "v1a"
    """ed25519 with a private key that the worker alone knows."""


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """One secret. `key` is the HMAC's key or the seed of the private key, `written` the operator's spelling of it.

    `until`: from then on it does not sign; None: it always does. `source` names its variable, or its line in a file.
    """

    version: Version
    key: bytes = field(repr=False)
    written: str = field(repr=False)
    source: str
    until: datetime | None = None

    def signs_at(self, unix_seconds: float) -> bool:
        return self.until is None or unix_seconds < self.until.timestamp()

    @property
    def canonical(self) -> str:
        """The secret in its one standard spelling."""
        return canonical_secret(self.key) if self.version is Version.V1 else canonical_private(self.key)

    @property
    def spellings(self) -> tuple[str, ...]:
        """The texts that must appear nowhere: the operator's spelling and the standard one."""
        return tuple(dict.fromkeys((self.written, self.canonical)))

    @property
    def masked(self) -> str:
        """The text to tell secrets apart by, such as `whsec_****LaSw`."""
        prefix, encoded = self.canonical.split("_", 1)
        return f"{prefix}_****{encoded.rstrip('=')[-SHOWN_CHARACTERS:]}"

    @property
    def public_key(self) -> str | None:
        """The `whpk_…` text of a private key, None for a secret."""
        return ed25519.public_key(self.key) if self.version is Version.V1A else None

    @property
    def has_advised_length(self) -> bool:
        return self.version is Version.V1A or MIN_ADVISED_BYTES <= len(self.key) <= MAX_ADVISED_BYTES


def signing_secret(text: str, source: str, until: datetime | None = None) -> SigningSecret:
    """The secret in `text`: `whsec_…`, or `whsk_…` for a private key. Raises NotACredential."""
    written = trimmed(text)
    if written.startswith(PRIVATE_PREFIX):
        return SigningSecret(Version.V1A, private_key(text), written, source, until)
    return SigningSecret(Version.V1, signing_key(text), written, source, until)


def new_secret(version: Version) -> str:
    """A new random secret or private key of 32 bytes, as text. Raises NotACredential without package `cryptography`."""
    key = secrets.token_bytes(NEW_BYTES)
    if version is Version.V1:
        return SECRET_PREFIX + base64.b64encode(key).decode()
    text = canonical_private(key)
    private_key(text)
    return text


def moment(text: str) -> datetime:
    """The time in `text`, in UTC. Raises NotACredential for anything but RFC 3339."""
    try:
        if _RFC3339.fullmatch(text.upper()):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise NotACredential("has a time after until that is not RFC 3339, such as 2026-12-01T09:00:00Z")


def written_moment(until: datetime) -> str:
    """The time as `moment` reads it, to the second: 2026-12-01T09:00:00Z."""
    return until.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
