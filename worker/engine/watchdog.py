"""Watches over the threads of a worker process. A thread that no longer turns is reported, and left alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from worker.engine.consumer_watch import ConsumerWatch
from worker.engine.loops import Faults, Loop
from worker.engine.parts import Grace, Turning

BEAT_SECONDS = 1.0


class Taking(Protocol):
    """A source that takes messages from a Redis broker; see `RedisQueue` and `StreamSource`."""

    @property
    def wrong(self) -> frozenset[str]: ...

    @property
    def blocked(self) -> bool: ...


class WatchdogWatch(Faults, Protocol):
    """Is told how the threads are, for logs and metrics. Must not raise."""

    def progress(self) -> None: ...

    def stalled(self, loop: str, where: str) -> None: ...

    def restarted(self, loop: str) -> None: ...

    def wrong_keys(self, keys: frozenset[str]) -> None: ...


class Watchdog:
    """The state of all threads, sources and the consumer of a process. Thread-safe, except for `beat`.

    It beats in a thread of its own, `vitals`, which it watches over like the others once that is started.
    """

    def __init__(
        self,
        threads: Sequence[Turning],
        sources: Sequence[Taking],
        consumer: ConsumerWatch,
        watch: WatchdogWatch,
    ) -> None:
        self._threads, self._sources, self._consumer, self._watch = list(threads), sources, consumer, watch
        self._loop = Loop("vitals", self.beat, watch)
        self._told: set[str] = set()

    def start(self) -> None:
        """Begin to beat. All loops must have been started, because one without a thread looks like one that died."""
        self._loop.start()
        self._threads.append(self._loop)

    def close(self) -> None:
        """Let the beat under way be the last, and wait for its end."""
        self._loop.stop()
        self._loop.join(Grace(0))

    def live(self) -> list[str]:
        """Return a line for each thread that no longer turns: why the process is not live."""
        stalled = [f"{thread.name} stalled" for thread in self._threads if thread.stalled]
        return [*stalled, "consumer stalled"] if self._consumer.stalled else stalled

    def troubles(self) -> list[str]:
        """Return the trouble of each thread that has one, and then that of the consumer."""
        troubles = [thread.trouble for thread in self._threads]
        return [trouble for trouble in (*troubles, self._consumer.trouble) if trouble]

    def blocking_keys(self) -> list[str]:
        """Return the keys of a Redis broker that have a wrong type and keep a source from taking anything."""
        return sorted({key for source in self._sources if source.blocked for key in source.wrong})

    def beat(self) -> float:
        """Note progress if all threads turn, and report each stall once. Returns the seconds until the next beat.

        A consumer that is stuck has its connection cut, which ends its wait. A thread that is stuck is left alone.
        """
        if not self.live():
            self._watch.progress()
        stalled = {thread.name: thread for thread in self._threads if thread.stalled}
        for name in stalled.keys() - self._told:
            self._watch.stalled(name, stalled[name].where)
        self._told = set(stalled)
        self._watch.wrong_keys(frozenset().union(*(source.wrong for source in self._sources)))
        if self._consumer.stalled:
            self._watch.restarted("consumer")
            self._consumer.restart()
        return BEAT_SECONDS
