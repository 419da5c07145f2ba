"""A state of one primary and two replicas on three machines, each with a Sentinel."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import redis

from tests.failover.instance import LOOK_SECONDS, Instance, Sentinel, Servers
from tests.failover.network import Network
from tests.faults.servers import ServerTrouble, wait_for

NAME = "calls"
PORT, SENTINEL_PORT = 6379, 26379
SETTLED_SECONDS = 90.0
USUAL_MS, HURRIED_MS = 10_000, 1000
"""How often Sentinels ask the servers what they are."""


class SentinelState(Servers):
    """The servers, on the machines of a network."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.network = network
        self.instances = [Instance(folder / f"redis-{m.name}", m, PORT) for m in network.machines]
        self.sentinels = [
            Sentinel(folder / f"sentinel-{m.name}", m, SENTINEL_PORT, self.instances[0], NAME)
            for m in network.machines
        ]

    def _begin(self, exits: ExitStack) -> None:
        for instance in self.instances:
            exits.enter_context(instance)
        for replica in self.instances[1:]:
            replica.ask("REPLICAOF", *self.instances[0].place)
        for sentinel in self.sentinels:
            exits.enter_context(sentinel)

    @property
    def url(self) -> str:
        """The address of the state, for workers."""
        places = ",".join(f"{one.machine.guest}:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://{places}/{NAME}/0"

    @property
    def client(self) -> redis.Redis:
        """A client of the primary."""
        return self.primary.client

    @property
    def primary(self) -> Instance:
        """The server that most Sentinels take for the primary, and that does so too. Raises ServerTrouble."""
        named = Counter(sentinel.primary() for sentinel in self.sentinels)
        for instance in self.instances:
            if named[instance.place] > len(self.sentinels) // 2 and instance.is_primary:
                return instance
        raise ServerTrouble("there is no primary")

    def is_replaced(self, former: Instance) -> bool:
        """Return whether another server is the primary by now."""
        try:
            return self.primary is not former
        except ServerTrouble:
            return False

    def back_up(self, place: Path) -> None:
        """Copy the data of the primary."""
        self.primary.copy_data(place)

    def restore(self, place: Path) -> None:
        """Stop all servers, and start them with the data of a backup."""
        for instance in self.instances:
            instance.stop()
        for instance in self.instances:
            instance.restore_data(place)
            instance.start()

    def settle(self) -> None:
        """Return once there is a primary on which all Sentinels agree, with all others as its replicas.

        The Sentinels are hurried meanwhile: else a former primary that came back takes 10 s to become a replica.
        """
        self._look_every(HURRIED_MS)
        what = "one primary, and replicas that have everything"
        wait_for(self._is_settled, what, SETTLED_SECONDS, LOOK_SECONDS)
        self._look_every(USUAL_MS)

    def turn(self, former: Instance) -> None:
        """Make the primary a replica of a former one, as a Sentinel does that missed what happened meanwhile."""
        self.primary.ask("REPLICAOF", *former.place)

    def _look_every(self, milliseconds: int) -> None:
        for sentinel in self.sentinels:
            sentinel.look_every(milliseconds)

    def victim(self) -> Instance:
        """Return the server that a fault is about."""
        return self.primary

    def replicas_of(self, primary: Instance) -> list[Instance]:
        """Return the servers that copy another."""
        return [instance for instance in self.instances if instance is not primary]

    def _is_settled(self) -> bool:
        named = {sentinel.primary() for sentinel in self.sentinels}
        primaries = [instance for instance in self.instances if instance.is_primary]
        return (
            len(primaries) == 1
            and named == {primaries[0].place}
            and primaries[0].replicas == len(self.instances) - 1
        )
