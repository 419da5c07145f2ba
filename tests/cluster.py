"""A Redis Cluster on loopback, whose servers a test may freeze, kill and give other slots."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.processes import free_port, wait_until
from tests.redis_server import RedisServer

SLOTS = 16384
BUS_ABOVE = 10_000
"""A server of a cluster also listens on the port that is so much higher."""
NODE_TIMEOUT_MS = 2000


class Cluster:
    """Primaries, each with an even share of the slots. `url` is what REDIS_URL would be."""

    def __init__(self, servers: Sequence[RedisServer], clients: Sequence[redis.Redis]) -> None:
        self.servers, self.clients = servers, clients
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        self.url = f"redis+cluster://{hosts}/0"

    def form(self, replicas: int = 0) -> None:
        """Make the servers one cluster; the last `replicas` follow the first ones."""
        count = len(self.servers) - replicas
        share = SLOTS / count
        first: Any = self.clients[0]
        for n, client in enumerate(self.clients):
            one: Any = client
            one.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            if n < count:
                own = range(round(n * share), round((n + 1) * share))
                one.execute_command("CLUSTER", "ADDSLOTS", *own)
            if n:
                first.execute_command("CLUSTER", "MEET", "127.0.0.1", self.servers[n].port)
        wait_until(lambda: all(map(self._is_whole, self.clients)), "the cluster is formed")
        self.agree()
        for n in range(replicas):
            follower: Any = self.clients[count + n]
            follower.execute_command("CLUSTER", "REPLICATE", self.id_of(n % count))
        wait_until(lambda: all(map(_follows, self.clients[count:])), "the replicas follow")

    def id_of(self, n: int) -> str:
        """Return the cluster's own name of a server."""
        client: Any = self.clients[n]
        found: bytes = client.execute_command("CLUSTER", "MYID")
        return found.decode()

    def begin_move(self, slot: int, source: int, target: int) -> None:
        """Begin to move a slot, key by key, as `redis-cli --cluster reshard` does."""
        self._set_slot(target, slot, "IMPORTING", self.id_of(source))
        self._set_slot(source, slot, "MIGRATING", self.id_of(target))

    def move_keys(self, slot: int, source: int, target: int, most: int = 100_000) -> int:
        """Move at most so many keys of a slot that is being moved. Returns how many were there."""
        client: Any = self.clients[source]
        found: list[bytes] = client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, most)
        if found:
            place = ("127.0.0.1", self.servers[target].port, "", 0, 5000)
            client.execute_command("MIGRATE", *place, "KEYS", *found)
        return len(found)

    def end_move(self, slot: int, source: int, target: int) -> None:
        """Make a slot that is being moved that of the other server. Returns once all servers know it."""
        for n in (target, source, *(set(range(len(self.servers))) - {source, target})):
            self._set_slot(n, slot, "NODE", self.id_of(target))
        self.agree()

    def move(self, slot: int, source: int, target: int) -> None:
        """Move a slot with all of its keys."""
        self.begin_move(slot, source, target)
        self.move_keys(slot, source, target)
        self.end_move(slot, source, target)

    def owner_of(self, slot: int) -> int:
        """Return the number of the server that has a slot."""
        client: Any = self.clients[0]
        for first, last, (_, port, *_), *_ in client.execute_command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return [server.port for server in self.servers].index(port)
        raise AssertionError(slot)

    def agree(self) -> None:
        """Return once all servers know the same slots and epochs of all.

        A slot that moves on before that may have two owners for ever: the next server takes an epoch that is no newer.
        """
        wait_until(lambda: len(set(map(_known_by, self.clients))) == 1, "the servers agree")

    def _set_slot(self, n: int, slot: int, *words: str) -> None:
        client: Any = self.clients[n]
        client.execute_command("CLUSTER", "SETSLOT", slot, *words)

    def empty(self) -> None:
        """Remove all keys."""
        for client in self.clients:
            client.flushall()

    def _is_whole(self, client: Any) -> bool:
        told: bytes = client.execute_command("CLUSTER", "INFO")
        wanted = (f"cluster_known_nodes:{len(self.servers)}", f"cluster_slots_assigned:{SLOTS}")
        return b"cluster_state:ok" in told and all(each.encode() in told for each in wanted)


def _known_by(client: Any) -> frozenset[tuple[bytes, ...]]:
    """Return the name of each server, its epoch and its slots, as one of them knows these."""
    rows: list[list[bytes]] = [row.split() for row in client.execute_command("CLUSTER", "NODES").splitlines()]
    return frozenset(
        (row[0], row[6], *(slots for slots in row[8:] if not slots.startswith(b"["))) for row in rows
    )


def _follows(client: Any) -> bool:
    return bool(client.info("replication").get("master_link_status") == "up")


@contextmanager
def redis_cluster(primaries: int = 3, replicas: int = 0, *options: str) -> Iterator[Cluster]:
    """Start a cluster; end it and remove its data afterwards."""
    with tempfile.TemporaryDirectory(prefix="cw-cluster-") as name, ExitStack() as stack:
        servers, clients = [], []
        for n in range(primaries + replicas):
            folder = Path(name, str(n))
            folder.mkdir()
            given = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)]
            given += ["--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0", *options]
            server = RedisServer(folder, *given, port=free_port(above=BUS_ABOVE))
            servers.append(stack.enter_context(server))
            clients.append(stack.enter_context(redis.Redis.from_url(server.url)))
        cluster = Cluster(servers, clients)
        cluster.form(replicas)
        yield cluster
