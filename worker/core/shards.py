"""The shards: the parts into which all state is divided, by account."""

from __future__ import annotations

from binascii import crc32

SHARDS = 16


def shard_of(account: str) -> int:
    """Return the shard, 0 to 15, that holds an account and all its jobs."""
    return crc32(account.encode()) % SHARDS
