"""Watches over the threads of a worker process: what no longer turns is told, and left alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from worker.engine.consumer_watch import ConsumerWatch
from worker.engine.loops import Faults, Loop
from worker.engine.parts import Grace, Turning

BEAT_SECONDS = 1.0


class Taking(Protocol):
    """What takes messages from a Redis broker; see `RedisQueue` and `StreamSource`."""

    @property
    def wrong(self) -> frozenset[str]: ...

    @property
    def blocked(self) -> bool: ...


class WatchdogWatch(Faults, Protocol):
    """Hears how the threads are, for logs and metrics. Must not raise."""

    def progress(self) -> None: ...

    def stalled(self, loop: str, where: str) -> None: ...

    def restarted(self, loop: str) -> None: ...

    def wrong_keys(self, keys: frozenset[str]) -> None: ...


class Watchdog:
    """Knows how all threads, sources and the consumer of a process are. Thread-safe, but for `beat`.

    It beats in a thread of its own, which it watches over like the others once it is started: /livez tells of it.
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
        """Begin to beat. All loops must have been started: one that has no thread yet looks like one that died."""
        self._loop.start()
        self._threads.append(self._loop)

    def close(self) -> None:
        """Let the beat under way be the last, and wait for it."""
        self._loop.stop()
        self._loop.join(Grace(0))

    def live(self) -> list[str]:
        """Why the process is not well: threads that no longer turn."""
        stalled = [f"{thread.name} stalled" for thread in self._threads if thread.stalled]
        return [*stalled, "consumer stalled"] if self._consumer.stalled else stalled

    def troubles(self) -> list[str]:
        """What each thread that fails, or no longer turns, has to say, and then the consumer."""
        troubles = [thread.trouble for thread in self._threads]
        return [trouble for trouble in (*troubles, self._consumer.trouble) if trouble]

    def blocking_keys(self) -> list[str]:
        """The keys of a Redis broker for which a source takes nothing, as they hold something else than they should."""
        return sorted({key for source in self._sources if source.blocked for key in source.wrong})

    def beat(self) -> float:
        """One turn of the watch over the others: progress is noted while all turn, and a stall is told once.

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
