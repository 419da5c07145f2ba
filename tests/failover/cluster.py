"""A state on a Redis Cluster: three primaries on three machines, each with replicas on the two others."""

from __future__ import annotations

import random
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import redis

from tests.failover.instance import DOWN_AFTER_MS, LOOK_SECONDS, Instance, Servers
from tests.failover.network import Network
from tests.faults.servers import wait_for
from worker.redisio.connection import connect

FIRST_PORT, SLOTS = 6379, 16384
SETTLED_SECONDS = 90.0
MANY_KEYS, MOVED_AT_ONCE, MOVE_MS = 10, 10, 5000
"""A slot with so many keys is that of a shard; how many keys move in one step, and how long a step may take."""

OPTIONS = (
    "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", str(DOWN_AFTER_MS),
    "--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no",
)  # fmt: skip


class ClusterState(Servers):
    """The servers, on the machines of a network."""

    def __init__(self, folder: Path, network: Network) -> None:
        machines = network.machines
        # The row n has the primary on machine n, and then its replicas on the machines after it.
        self.rows = [
            [
                Instance(folder / f"redis-{n}-{turn}", machines[(n + turn) % 3], FIRST_PORT + turn, *OPTIONS)
                for turn in range(3)
            ]
            for n in range(3)
        ]
        self.instances = [instance for row in self.rows for instance in row]

    def _begin(self, exits: ExitStack) -> None:
        for instance in self.instances:
            exits.enter_context(instance)
        self._join()

    @property
    def url(self) -> str:
        """The address of the state, for workers."""
        places = ",".join(f"{row[0].machine.guest}:{row[0].port}" for row in self.rows)
        return f"redis+cluster://{places}"

    @property
    def client(self) -> redis.Redis:
        """A client of the cluster."""
        return connect(self.url)

    def settle(self) -> None:
        """Return once all servers agree that all is well, and each primary is on its own machine again."""
        wait_for(self._is_whole, "a whole cluster", SETTLED_SECONDS, LOOK_SECONDS)
        for home, *_ in self.rows:
            if not home.is_primary:
                home.ask("CLUSTER", "FAILOVER")
        wait_for(
            lambda: all(row[0].is_primary for row in self.rows),
            "each primary is at home",
            SETTLED_SECONDS,
            LOOK_SECONDS,
        )
        wait_for(self._is_whole, "a whole cluster", SETTLED_SECONDS, LOOK_SECONDS)

    def victim(self) -> Instance:
        """Return the server that a fault is about."""
        return random.choice(self.rows)[0]

    def replicas_of(self, primary: Instance) -> list[Instance]:
        """Return the servers that copy another."""
        return next(row[1:] for row in self.rows if row[0] is primary)

    def is_replaced(self, former: Instance) -> bool:
        """Return whether another server is the primary by now."""
        return any(replica.is_primary for replica in self.replicas_of(former))

    def back_up(self, place: Path) -> None:
        """Copy the data of the primaries."""
        for n, (primary, *_) in enumerate(self.rows):
            primary.copy_data(place / str(n))

    def restore(self, place: Path) -> None:
        """Stop all servers, and start them with the data of a backup."""
        for instance in self.instances:
            instance.stop()
        for n, row in enumerate(self.rows):
            for instance in row:
                instance.restore_data(place / str(n))
        for instance in self.instances:
            instance.start()

    def move(self, count: int) -> None:
        """Move the slots of some shards from one primary to another, key by key, as `redis-cli` does."""
        source, target = random.sample([row[0] for row in self.rows], 2)
        ids = {instance: str(instance.ask("CLUSTER", "MYID"), "ascii") for instance in (source, target)}
        slots = [slot for slot in self._slots_of(source) if self._keys_in(source, slot) >= MANY_KEYS]
        for slot in random.sample(slots, min(count, len(slots))):
            target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
            source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
            while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, MOVED_AT_ONCE):
                source.ask("MIGRATE", *target.place, "", 0, MOVE_MS, "KEYS", *keys)
            for instance in (target, source, *(row[0] for row in self.rows)):
                instance.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[target])

    def _join(self) -> None:
        first, share = self.instances[0], SLOTS // 3
        for instance in self.instances[1:]:
            instance.ask("CLUSTER", "MEET", *first.place)
        for n, (primary, *_) in enumerate(self.rows):
            last = SLOTS - 1 if n == 2 else (n + 1) * share - 1
            primary.ask("CLUSTER", "ADDSLOTSRANGE", n * share, last)
        for primary, *replicas in self.rows:
            number = str(primary.ask("CLUSTER", "MYID"), "ascii")
            for replica in replicas:
                follows = partial(_follows, replica, number)
                wait_for(follows, "it follows", SETTLED_SECONDS, LOOK_SECONDS)

    def _is_whole(self) -> bool:
        replicas = len(self.instances) - len(self.rows)
        return all(_agrees(instance, replicas) for instance in self.instances) and all(
            sum(instance.is_primary for instance in row) == 1
            and max(instance.replicas for instance in row) == len(row) - 1
            for row in self.rows
        )

    def _slots_of(self, primary: Instance) -> list[int]:
        number = str(primary.ask("CLUSTER", "MYID"), "ascii")
        rows: Any = primary.ask("CLUSTER", "SLOTS")
        return [
            slot for first, last, (_, _, owner, *_), *_ in rows if str(owner, "ascii") == number
            for slot in range(first, last + 1)
        ]  # fmt: skip

    def _keys_in(self, primary: Instance, slot: int) -> int:
        return int(primary.ask("CLUSTER", "COUNTKEYSINSLOT", slot))


def _follows(replica: Instance, primary: str) -> bool:
    """Make a server the replica of another; False as long as it does not know it."""
    with suppress(redis.RedisError):
        replica.ask("CLUSTER", "REPLICATE", primary)
        return True
    return False


def _agrees(instance: Instance, replicas: int) -> bool:
    """Return whether a server takes all slots for served, knows so many replicas, and takes no server for lost."""
    with suppress(redis.RedisError):
        state: bytes = instance.ask("CLUSTER", "INFO")
        known: bytes = instance.ask("CLUSTER", "NODES")
        return b"cluster_state:ok" in state and known.count(b"slave") == replicas and b"fail" not in known
    return False
