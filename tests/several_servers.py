"""A store on several Redis servers, each with some of the shards, as `worker.redisio.nodes.Nodes`."""

from __future__ import annotations

import itertools
import re
import tempfile
from binascii import crc32
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.redis_server import RedisServer
from worker.core.shards import shard_of
from worker.redisio.connection import connect
from worker.redisio.node import Node
from worker.redisio.reach import Reach
from worker.redisio.runner import Scripts
from worker.state.lua import source

PATIENCE_SECONDS = 2.0

_SHARD = re.compile(r"\{(\d+)\}")


class SeveralServers:
    """Implements `Nodes`. Shards take turns on the servers.

    All other keys, such as claims of ids, are on the server `others_on`; with None they are divided by their digests.
    """

    several = True

    def __init__(self, servers: Sequence[RedisServer], others_on: int | None = None) -> None:
        self.servers, self._others_on = servers, others_on
        self.clients = [connect(server.url) for server in servers]
        self._nodes = [Node(client) for client in self.clients]

    def of(self, key: str) -> Node:
        return self._nodes[self._number(key)]

    def all(self) -> Sequence[Node]:
        return self._nodes

    def _number(self, key: str) -> int:
        if found := _SHARD.search(key):
            return int(found[1]) % len(self._nodes)
        if self._others_on is not None:
            return self._others_on
        return crc32(key.encode()) % len(self._nodes)

    def scripts(self) -> Scripts:
        return patient(Scripts(self.clients[0], source, self))

    def account_on(self, server: int, number: int = 0) -> str:
        """Return the name of an account that lives on this server; each `number` gives another one."""
        names = (f"account-{n}" for n in itertools.count())
        living = (name for name in names if shard_of(name) % len(self._nodes) == server)
        return next(itertools.islice(living, number, None))


def patient(scripts: Scripts) -> Scripts:
    """Let servers that work take their time: the machine may be busy."""
    scripts._trips.reach = Reach(patience_seconds=PATIENCE_SECONDS)
    return scripts


@contextmanager
def several_servers(count: int, others_on: int | None = None) -> Iterator[SeveralServers]:
    """Start some Redis servers; end them and remove their data afterwards."""
    with ExitStack() as stack:
        folders = [
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cw-redis-"))) for _ in range(count)
        ]
        servers = [stack.enter_context(RedisServer(folder)) for folder in folders]
        store = SeveralServers(servers, others_on)
        for client in store.clients:
            stack.callback(client.close)
        yield store
