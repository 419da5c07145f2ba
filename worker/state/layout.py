"""The layout of the state, which is stored with it.

A worker that divided the state otherwise would look elsewhere for every account: its limits would count again from
nothing, and its jobs would be rung again. So the first worker writes the layout, and all compare it with their own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis

from worker.core.shards import ON_ONE_SERVER, ONE_SERVER, SHARDS, Layout, in_a_cluster
from worker.errors import OtherLayout
from worker.redisio.cluster_client import nodes_of
from worker.redisio.connection import is_cluster
from worker.redisio.node import Node
from worker.redisio.nodes import Nodes
from worker.state import keys


def choose(url: str | None, shards: int) -> None:
    """Divide the state of this process as an installation with that address of Redis and REDIS_SHARDS does."""
    if is_cluster(url or ""):
        keys.use(in_a_cluster(shards))
    else:
        keys.use(ON_ONE_SERVER if shards == SHARDS else Layout(ONE_SERVER, in_a_cluster(shards).tags))


def agree(client: redis.Redis) -> None:
    """Write this program's layout if none is stored, else compare them. Takes one round trip.

    A state without a layout is one of an earlier version, which divided it as ON_ONE_SERVER does.
    Raises OtherLayout if they differ, and redis-py's errors.
    """
    if keys.layout() != ON_ONE_SERVER and not check(client) and client.exists(keys.CLOCK):
        raise OtherLayout(f"the state there is that of an earlier version, with {_words(ON_ONE_SERVER)}")
    with client.pipeline(transaction=False) as pipeline:
        pipeline.set(keys.LAYOUT, keys.layout().packed(), nx=True)
        pipeline.get(keys.LAYOUT)
        written, stored = pipeline.execute(raise_on_error=False)
    if not isinstance(stored, bytes):
        raise stored if isinstance(stored, Exception) else written
    _compare(stored)


def check(client: redis.Redis) -> bool:
    """Compare like `agree`, but write nothing. Returns whether a layout is stored: the first worker writes it."""
    stored: Any = client.get(keys.LAYOUT)
    if stored is not None:
        _compare(stored)
    return stored is not None


def _compare(stored: bytes) -> None:
    mine = keys.layout()
    if _read(stored) != json.loads(mine.packed()):
        raise OtherLayout(f"the state there has {_told(stored)}, and this program has {_words(mine)}")


def _read(stored: bytes) -> Any:
    with suppress(ValueError):
        return json.loads(stored)
    return None


def _told(stored: bytes) -> str:
    found = _read(stored)
    with suppress(TypeError, KeyError, ValueError, IndexError):
        return _words(Layout(int(found["version"]), tuple(map(str, found["tags"]))))
    return f"a layout that this version cannot read ({keys.LAYOUT})"


def _words(layout: Layout) -> str:
    first, *_, last = layout.tags
    return f"layout {layout.version} with {layout.shards} shards, {{{first}}} to {{{last}}}"


class AgreedNodes:
    """The servers of a store, once its layout is known to be this program's. Implements `redisio.nodes.Nodes`.

    Until then each use asks for the layout: Redis may have been away when the worker started.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client, self._agreed = client, False
        self._nodes: Nodes = nodes_of(client)

    @property
    def several(self) -> bool:
        """See Nodes."""
        return self._nodes.several

    def of(self, key: str) -> Node:
        """See Nodes. Raises OtherLayout too."""
        self._agree()
        return self._nodes.of(key)

    def all(self) -> Sequence[Node]:
        """See Nodes. Raises OtherLayout too."""
        self._agree()
        return self._nodes.all()

    def _agree(self) -> None:
        if not self._agreed:
            agree(self._client)
            self._agreed = True
