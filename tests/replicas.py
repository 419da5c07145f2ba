"""A Redis with replicas, of which a test may stop and freeze each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import redis

from tests.contract.forwarder import Forwarder
from tests.processes import wait_until
from tests.redis_server import RedisServer, follow


class Flock(NamedTuple):
    """A primary and its replicas, as servers and as clients of these."""

    primary: RedisServer
    replicas: list[RedisServer]
    clients: list[Any]
    links: list[Forwarder]
    """The ways on which the replicas follow."""

    @property
    def url(self) -> str:
        return self.primary.url

    def freeze(self) -> None:
        """Have the replicas stand still: connected, and without a word."""
        for replica in self.replicas:
            replica.freeze()
        primary: Any = self.clients[0]
        wait_until(lambda: primary.set("frozen", "1") and not primary.wait(1, 50), "they confirm nothing")

    def thaw(self) -> None:
        for replica in self.replicas:
            replica.thaw()

    def hold(self) -> None:
        """Have what the primary writes stay on its way to the replicas, as over a slow line."""
        for link in self.links:
            link.freeze()

    def fail_over(self) -> str:
        """Kill the primary; what is on its way is lost. The replica that has most is the primary now.

        So Sentinels choose, too. Returns once the others follow it, with the new address.
        """
        self.primary.kill()
        for link in self.links:
            link.cut()
        _, *candidates = self.clients
        best = max(range(len(candidates)), key=lambda n: _received(candidates[n]))
        promoted = candidates.pop(best)
        promoted.replicaof("NO", "ONE")
        for other in candidates:
            follow(other, promoted)
        return self.replicas[best].url

    def online(self) -> int:
        """How many replicas the primary counts."""
        (primary, *_) = self.clients
        facts = primary.info("replication")
        told = [facts[f"slave{n}"] for n in range(facts["connected_slaves"])]
        return sum(each["state"] == "online" for each in told)


def _received(replica: redis.Redis) -> int:
    """Return how much of the primary's writes a replica has (bytes)."""
    facts: Any = replica.info("replication")
    return int(facts["slave_repl_offset"])


@contextmanager
def flock(folder: Path, replicas: int, *options: str) -> Iterator[Flock]:
    """Start a Redis with so many replicas; return once they have everything."""
    with ExitStack() as stack:
        servers, clients, links = [], [], []
        for n in range(replicas + 1):
            own = folder / str(n)
            own.mkdir(parents=True)
            servers.append(stack.enter_context(RedisServer(own, *options)))
            clients.append(stack.enter_context(redis.Redis.from_url(servers[-1].url)))
        for client in clients[1:]:
            links.append(stack.enter_context(Forwarder(servers[0].port)))
            follow(client, clients[0], links[-1].port)
        made = Flock(servers[0], servers[1:], clients, links)
        wait_until(lambda: made.online() == replicas, "the replicas are online")
        stack.callback(made.thaw)
        yield made
