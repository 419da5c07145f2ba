"""The shards: the parts into which all state is divided, by account."""

from __future__ import annotations

import json
from binascii import crc32, crc_hqx
from dataclasses import dataclass
from itertools import count

SHARDS = 16
"""How many queues of jobs the broker has, and shards the state, unless the installation has another layout."""

ONE_SERVER, CLUSTER = 1, 2
"""The forms of keys, as a layout's version. In a cluster each shard has its own clock, and the ends of its jobs."""

SLOTS = 16384
"""Slots of a Redis Cluster."""


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


def in_a_cluster(shards: int = SHARDS) -> Layout:
    """Return the layout of an installation on a cluster.

    Each tag's slot is in the middle of an equal share of the slots, so that servers with equal shares have as many
    shards each as the number allows.
    """
    return Layout(CLUSTER, tuple(_tag(shard, SLOTS // shards) for shard in range(shards)))


def _tag(shard: int, share: int) -> str:
    """Return the first tag of a row whose slot is in the middle half of the shard's share."""
    for n in count():
        tag = f"{shard}.{n}"
        if share // 4 <= crc_hqx(tag.encode(), 0) % SLOTS - shard * share < share - share // 4:
            return tag
    raise AssertionError
