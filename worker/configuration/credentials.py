"""Reads API keys and webhook secrets as people paste them. Removes harmless additions and refuses anything else.

The text of a refusal follows the name of the variable or file, as in "holds a space". It never repeats the value.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

from worker.configuration import ed25519

MAX_KEY_CHARACTERS = 512
MIN_SECRET_BYTES = 16
"""Shorter secrets are refused; Standard Webhooks 1.0.0 asks for more, see `worker/configuration/signing_secrets.py`."""

MAX_REMEMBERED = 4096
"""Results that are cached: each call and each delivery asks again, because a file may have changed."""

SECRET_PREFIX = "whsec_"  # noqa: S105 (every secret begins with it)
PRIVATE_PREFIX = "whsk_"
"""What every private key of an ed25519 signature begins with."""

_BYTE_ORDER_MARK = "\ufeff"
_USUAL = re.compile(r"[!#-&(-_a-~]*")
"""What a credential consists of: printable ASCII without spaces and quotes."""
_ASSIGNMENT = re.compile(r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*=[^=]")
_UNEXPANDED = re.compile(r"\$[{(]")


class NotACredential(ValueError):
    """The text cannot be a key or secret. The message says why."""


@lru_cache(MAX_REMEMBERED)
def api_key(text: str) -> str:
    """Read the provider's key in `text`: printable ASCII without spaces. Raises NotACredential."""
    key = trimmed(text)
    if not key:
        raise NotACredential("holds no API key")
    _refuse_other_text(key, "a key")
    if len(key) > MAX_KEY_CHARACTERS:
        raise NotACredential(f"holds more than the {MAX_KEY_CHARACTERS} characters that a key may have")
    return key


@lru_cache(MAX_REMEMBERED)
def signing_key(text: str) -> bytes:
    """Read the key of a `whsec_…` secret. Base64 without padding is accepted. Raises NotACredential.

    URL-safe base64 is refused: some libraries of receivers drop its special characters and would compute another key.
    Source: Standard Webhooks 1.0.0, "Signature scheme".
    """
    secret = trimmed(text)
    if not secret:
        raise NotACredential("holds no webhook secret")
    _refuse_other_text(secret, "a secret")
    if not secret.startswith(SECRET_PREFIX):
        raise NotACredential(_wrong_prefix(secret))
    key = _decoded(secret.removeprefix(SECRET_PREFIX), SECRET_PREFIX)
    if len(key) < MIN_SECRET_BYTES:
        raise NotACredential(
            f"stands for {len(key)} bytes; it must be whsec_ and base64 of at least {MIN_SECRET_BYTES} bytes"
        )
    return key


@lru_cache(MAX_REMEMBERED)
def private_key(text: str) -> bytes:
    """The 32 bytes (seed) of the ed25519 key that a `whsk_…` text stands for. Raises NotACredential.

    The text holds the seed alone, or the seed and its public key, 64 bytes. Source: Standard Webhooks 1.0.0, "Signature
    scheme".
    """
    secret = trimmed(text)
    _refuse_other_text(secret, "a private key")
    if not secret.startswith(PRIVATE_PREFIX):
        raise NotACredential("does not begin with whsk_")
    decoded = _decoded(secret.removeprefix(PRIVATE_PREFIX), PRIVATE_PREFIX)
    try:
        return ed25519.seed(decoded)
    except ValueError as error:
        raise NotACredential(str(error)) from None


def canonical_private(seed: bytes) -> str:
    """The `whsk_…` text of a private key, without its public key."""
    return PRIVATE_PREFIX + base64.b64encode(seed).decode()


def canonical_secret(key: bytes) -> str:
    """The secret for `key` in its standard spelling."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def trimmed(text: str) -> str:
    """The text without spaces and byte-order marks at its ends."""
    return text.strip().strip(_BYTE_ORDER_MARK).strip()


def _refuse_other_text(text: str, wanted: str) -> None:
    """Raise NotACredential unless `text` consists of printable ASCII characters without spaces."""
    if _USUAL.fullmatch(text) and not _ASSIGNMENT.match(text) and not _UNEXPANDED.match(text):
        return
    lines = len(text.splitlines())
    if lines > 1:
        raise NotACredential(f"holds {lines} lines, but {wanted} is one line")
    if _ASSIGNMENT.match(text):
        raise NotACredential(f"holds NAME=value; write only {wanted}")
    if any(quote in text for quote in "\"'`"):
        raise NotACredential(f"holds quotes; write {wanted} without them")
    if _UNEXPANDED.match(text):
        raise NotACredential("holds the name of a variable that no shell has replaced by its value")
    if any(sign.isspace() for sign in text):
        raise NotACredential(f"holds a space, which {wanted} does not have")
    foreign = next((n for n, sign in enumerate(text, 1) if not "!" <= sign <= "~"), None)
    if foreign is not None:
        raise NotACredential(
            f"holds a character that {wanted} does not have: number {foreign} is not printable ASCII"
        )


def _wrong_prefix(secret: str) -> str:
    if secret.lower().startswith(SECRET_PREFIX):
        return "begins with whsec_ in capital letters; write it in small letters"
    if secret.startswith(f"v1,{SECRET_PREFIX}"):
        return "begins with v1, before whsec_; write it from whsec_ on, here and at the receiver"
    if secret.startswith(("whsk_", "whpk_")):
        return f"is an asymmetric key; it must be whsec_ and base64 of at least {MIN_SECRET_BYTES} bytes"
    return f"does not begin with whsec_; it must be whsec_ and base64 of at least {MIN_SECRET_BYTES} bytes"


def _decoded(encoded: str, prefix: str) -> bytes:
    bare = encoded.rstrip("=")
    if re.search("[^A-Za-z0-9+/_-]", bare):
        raise NotACredential(f"holds a character that base64 does not have, after {prefix}")
    if re.search("[_-]", bare):
        raise NotACredential(
            "is URL-safe base64, which receivers read in different ways; write + for - and / for _ here and there"
        )
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise NotACredential("is not complete: its base64 has a character too few or too many") from None
