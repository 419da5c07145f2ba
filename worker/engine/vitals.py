"""What a worker says of itself and of the state that all workers share: for /livez, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import redis
from redis.exceptions import RedisError, ResponseError

from worker.engine.consumer_watch import ConsumerWatch
from worker.errors import BrokerUnavailable
from worker.inbound.depth import QueueDepths
from worker.inbound.stream import STREAM
from worker.network.causes import because
from worker.privacy.redaction import redactor
from worker.redisio.runner import store_errors
from worker.state.census import Census
from worker.telemetry.metrics import Snapshot

BEAT_SECONDS = 1.0


class Turning(Protocol):
    """A thread that is watched over; see `worker.engine.loops.Loop`."""

    name: str

    @property
    def stalled(self) -> bool: ...

    @property
    def trouble(self) -> str | None: ...

    @property
    def where(self) -> str: ...


class Taking(Protocol):
    """What takes messages from a Redis broker; see `RedisQueue` and `StreamSource`."""

    @property
    def wrong(self) -> frozenset[str]: ...

    @property
    def blocked(self) -> bool: ...


class VitalsWatch(Protocol):
    """Hears how the loops are, for logs and metrics. Must not raise."""

    def progress(self) -> None: ...

    def stalled(self, loop: str, where: str) -> None: ...

    def restarted(self, loop: str) -> None: ...

    def wrong_keys(self, keys: frozenset[str]) -> None: ...


class Vitals:
    """The checks and readings of one process. `stream` is the Redis that holds `calls.intake`, None on AMQP."""

    def __init__(
        self,
        client: redis.Redis,
        depths: QueueDepths,
        stream: redis.Redis | None,
        accounts: Sequence[str],
        watch: VitalsWatch,
        refusal: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`refusal`: why no event can leave for the results queue."""
        self._client, self._depths, self._stream = client, depths, stream
        self._accounts, self._watch, self._refusal = accounts, watch, refusal
        self._told: set[str] = set()
        self._census = Census(client)
        self.consumer = ConsumerWatch()
        self.loops: Sequence[Turning] = ()
        self.sources: Sequence[Taking] = ()

    def live(self) -> list[str]:
        """Why the process is not well: loops that no longer turn."""
        stalled = [f"{loop.name} stalled" for loop in self.loops if loop.stalled]
        return [*stalled, "consumer stalled"] if self.consumer.stalled else stalled

    def ready(self) -> list[str]:
        """Why no job gets through at the moment: a line for each part that fails, with the cause where one is known."""
        problems = [trouble for loop in self.loops if (trouble := loop.trouble)]
        problems += [trouble] if (trouble := self.consumer.trouble) else []
        if refusal := self._refusal():
            problems.append(f"nothing is dialled, for events cannot leave: {redactor.text(refusal)}")
        try:
            self._client.ping()
        except (RedisError, OSError) as error:
            problems.append(f"Redis cannot be used{because(error)}")
        try:
            self._depths.read()
        except BrokerUnavailable as error:
            problems.append(f"the broker cannot be used{because(error)}")
        wrong = {key for source in self.sources if source.blocked for key in source.wrong}
        return [*problems, *(f"the key {key} holds something else than it should" for key in sorted(wrong))]

    def beat(self) -> float:
        """One turn of the watch over the others: progress is noted while all turn, and a stall is told once.

        A consumer that is stuck has its connection cut, which ends its wait. A loop that is stuck is left alone.
        """
        if not self.live():
            self._watch.progress()
        stalled = {loop.name: loop for loop in self.loops if loop.stalled}
        for name in stalled.keys() - self._told:
            self._watch.stalled(name, stalled[name].where)
        self._told = set(stalled)
        self._watch.wrong_keys(frozenset().union(*(source.wrong for source in self.sources)))
        if self.consumer.stalled:
            self._watch.restarted("consumer")
            self.consumer.restart()
        return BEAT_SECONDS

    def queue_depths(self) -> dict[str, int]:
        """Messages by queue, but for keys that hold something else. Raises BrokerUnavailable, StoreUnavailable."""
        depths = self._depths.read()
        if self._stream is not None:
            with store_errors(), suppress(ResponseError):
                depths[STREAM] = int(self._stream.xlen(STREAM))
        return depths

    def snapshot(self) -> Snapshot:
        """The shared state by account. Raises StoreUnavailable."""
        counts = self._census.accounts(self._accounts)
        return Snapshot(
            waiting={(a.name, reason): number for a in counts for reason, number in a.waiting.items()},
            oldest_waiting_seconds={a.name: a.oldest_seconds for a in counts},
            held={a.name: a.hold for a in counts if a.hold is not None},
            webhook_pending={a.name: a.pending for a in counts},
            results_unpublished=self._census.unpublished(),
        )
