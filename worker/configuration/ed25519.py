"""Keys and signatures of ed25519, from the optional package `cryptography`.

Source: RFC 8032; Standard Webhooks 1.0.0, "Signature scheme". The package is imported when the first key is read, so
that an installation without such keys does not need it.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED_BYTES = 32
PUBLIC_PREFIX = "whpk_"
MAX_REMEMBERED = 4096


def seed(key: bytes) -> bytes:
    """The seed of a private key of 32 bytes, or of 64 bytes: seed and public key.

    Raises ValueError with the cause: another length, a public key that belongs to another seed, or no package
    `cryptography`.
    """
    if len(key) not in (SEED_BYTES, 2 * SEED_BYTES):
        raise ValueError(
            f"stands for {len(key)} bytes; a private key has {SEED_BYTES}, or 64 with its public key"
        )
    found = key[:SEED_BYTES]
    if key[SEED_BYTES:] not in (b"", _public_bytes(found)):
        raise ValueError("holds a public key that does not belong to its private key")
    return found


def public_key(seed: bytes) -> str:
    """The `whpk_…` text that subscribers verify with."""
    return PUBLIC_PREFIX + base64.b64encode(_public_bytes(seed)).decode()


def signature(seed: bytes, content: bytes) -> bytes:
    """The 64 bytes of the signature. The same content always has the same one."""
    return _loaded(seed).sign(content)


def _public_bytes(seed: bytes) -> bytes:
    return _loaded(seed).public_key().public_bytes_raw()


@lru_cache(MAX_REMEMBERED)
def _loaded(seed: bytes) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    except ImportError:
        raise ValueError("needs the package cryptography: install callworker[ed25519]") from None
    return Ed25519PrivateKey.from_private_bytes(seed)
