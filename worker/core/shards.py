"""The shards: the parts into which all state is divided, by account."""

from __future__ import annotations

import json
from binascii import crc32
from dataclasses import dataclass

SHARDS = 16
"""How many queues of jobs the broker has, and shards the state, unless the installation has another layout."""

ONE_SERVER = 1
"""The form of the keys on one server, as a layout's version."""


def shard_of(account: str, shards: int = SHARDS) -> int:
    """Return the shard, 0 to `shards` - 1, that holds an account and all its jobs."""
    return crc32(account.encode()) % shards


@dataclass(frozen=True, slots=True)
class Layout:
    """How the state of an installation is divided.

    `tags` has the hash tag of each shard's keys, `version` the form of the keys outside of shards.
    """

    version: int
    tags: tuple[str, ...]

    @property
    def shards(self) -> int:
        return len(self.tags)

    def packed(self) -> str:
        """Return it as a JSON object, as it is stored."""
        told = {"version": self.version, "shards": self.shards, "tags": self.tags}
        return json.dumps(told, separators=(",", ":"))


ON_ONE_SERVER = Layout(ONE_SERVER, tuple(map(str, range(SHARDS))))
"""The layout of every installation on one server."""
