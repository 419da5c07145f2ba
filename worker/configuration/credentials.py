"""API keys and webhook secrets, as people paste them: the harmless is taken off, all else is refused with its cause.

The causes are what to say after the name of the variable or file, as in "holds a blank"; they never repeat the value.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

MAX_KEY_CHARACTERS = 512
MIN_SECRET_BYTES = 16
MAX_REMEMBERED = 4096
"""Keys and secrets that were judged: each call and each delivery asks again, as a file may change meanwhile."""

SECRET_PREFIX = "whsec_"  # noqa: S105 (what every secret begins with)

_BYTE_ORDER_MARK = "\ufeff"
_ASSIGNMENT = re.compile(r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*=[^=]")
_UNEXPANDED = re.compile(r"\$[{(]")


class NotACredential(ValueError):
    """The text cannot be a key or secret; the message is the cause."""


@lru_cache(MAX_REMEMBERED)
def api_key(text: str) -> str:
    """The provider's key in `text`: printable ASCII without blanks. Raises NotACredential."""
    key = _trimmed(text)
    if not key:
        raise NotACredential("holds no API key")
    _refuse_other_text(key, "a key")
    if len(key) > MAX_KEY_CHARACTERS:
        raise NotACredential(f"holds more than the {MAX_KEY_CHARACTERS} characters that a key may have")
    return key


@lru_cache(MAX_REMEMBERED)
def signing_key(text: str) -> bytes:
    """The key that a `whsec_…` secret stands for; base64 without its padding is taken. Raises NotACredential.

    URL-safe base64 is refused: some receivers' libraries drop its signs and would compute another key.
    Source: Standard Webhooks 1.0.0, "Signature scheme".
    """
    secret = _trimmed(text)
    if not secret:
        raise NotACredential("holds no webhook secret")
    _refuse_other_text(secret, "a secret")
    if not secret.startswith(SECRET_PREFIX):
        raise NotACredential(_wrong_prefix(secret))
    key = _decoded(secret.removeprefix(SECRET_PREFIX))
    if len(key) < MIN_SECRET_BYTES:
        raise NotACredential(
            f"stands for {len(key)} bytes; it must be whsec_ and base64 of at least {MIN_SECRET_BYTES} bytes"
        )
    return key


def canonical_secret(key: bytes) -> str:
    """The secret that stands for `key`, in its one standard spelling."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def _trimmed(text: str) -> str:
    return text.strip().strip(_BYTE_ORDER_MARK).strip()


def _refuse_other_text(text: str, wanted: str) -> None:
    """Raises NotACredential where `text` is anything but printable ASCII characters in a row."""
    lines = len(text.splitlines())
    if lines > 1:
        raise NotACredential(f"holds {lines} lines, and {wanted} is one")
    if _ASSIGNMENT.match(text):
        raise NotACredential(f"holds NAME=value; write {wanted} alone")
    if any(quote in text for quote in "\"'`"):
        raise NotACredential(f"holds quotes; write {wanted} without them")
    if _UNEXPANDED.match(text):
        raise NotACredential("holds a variable's name that no shell has replaced by its value")
    if any(sign.isspace() for sign in text):
        raise NotACredential(f"holds a blank, which {wanted} does not have")
    foreign = next((n for n, sign in enumerate(text, 1) if not "!" <= sign <= "~"), None)
    if foreign is not None:
        raise NotACredential(
            f"holds a character, number {foreign}, that {wanted} does not have: it is not printable ASCII"
        )


def _wrong_prefix(secret: str) -> str:
    if secret.lower().startswith(SECRET_PREFIX):
        return "begins with whsec_ in capital letters; write it in small ones"
    if secret.startswith(f"v1,{SECRET_PREFIX}"):
        return "begins with v1, in front of whsec_; write it from whsec_ on, here and at the receiver"
    if secret.startswith(("whsk_", "whpk_")):
        return "is a key of an asymmetric signature; it must be whsec_ and base64 of at least 16 bytes"
    return f"does not begin with whsec_; it must be whsec_ and base64 of at least {MIN_SECRET_BYTES} bytes"


def _decoded(encoded: str) -> bytes:
    bare = encoded.rstrip("=")
    if re.search("[^A-Za-z0-9+/_-]", bare):
        raise NotACredential("holds a character that base64 does not have, after whsec_")
    if re.search("[_-]", bare):
        raise NotACredential(
            "is URL-safe base64, which receivers read in different ways; write + for - and / for _, here and there"
        )
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise NotACredential("is not whole: its base64 lacks a character or has one too many") from None
