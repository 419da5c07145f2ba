"""An installation whose state is on machines of its own, with a worker beside each server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import redis

from tests.failover.cluster import ClusterState
from tests.failover.network import Network
from tests.failover.sentinels import SentinelState
from tests.faults.bench import Bench
from tests.faults.namespace import Namespace, Place
from tests.faults.proxy import Proxy
from tests.faults.servers import Provider

REPLICAS = 1
"""With three copies, two are a majority."""

JOBS_AT_ONCE = 5
"""So many jobs of one account come at once: as much as its burst or more, so that its limit counts after a pause."""

State = SentinelState | ClusterState
STATES: Mapping[str, Callable[[Path, Network], State]] = {"sentinel": SentinelState, "cluster": ClusterState}


class FailoverBench(Bench):
    """Jobs and events ride on a Redis of their own, which no fault touches, and which all machines reach."""

    jobs_in_a_row = JOBS_AT_ONCE

    def __init__(self, kind: str) -> None:
        """`kind` is one of `STATES`."""
        super().__init__("redis", forking=False)
        self.kind = kind

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.network = exits.enter_context(Network())
            self.host = self.network.host
            super().__enter__()
            exits.callback(super().__exit__, None, None, None)
            # Workers wait for replicas of a Redis that is the broker, too.
            self.follower()
            self.servers = STATES[self.kind](self.folder, self.network)
            exits.enter_context(self.servers)
            self._servers_end = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._servers_end.close()

    @property
    def broker_url(self) -> str:
        return self.redis.url

    @property
    def state(self) -> redis.Redis:
        return self.servers.client

    def _places(self, _: Namespace | None) -> Sequence[Place]:
        return self.network.machines

    def _environ(self, folder: Path, provider: Provider, proxies: dict[str, Proxy]) -> dict[str, str]:
        usual = super()._environ(folder, provider, proxies)
        return usual | {"REDIS_URL": self.servers.url, "REDIS_REPLICAS": str(REPLICAS)}
