"""Speaks to several servers so that one which does not answer holds up the others for a moment, once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis
from redis.exceptions import RedisError

from callworker.replicas import MAX_WAIT_SECONDS
from worker.redisio.kept import Kept, questions, settled
from worker.redisio.node import Command, Failure, Node, Standing
from worker.redisio.together import exchange

PATIENCE_SECONDS, MAX_PATIENCE_SECONDS = 0.5, 5.0
"""The first and the longest wait for a server while others have answered. It doubles for a server that answers a small
question in time and fails again, because it may only be slow."""

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.05, 0.25
"""The pauses between two questions to a server that does not answer."""

ASKED_SECONDS = MAX_WAIT_SECONDS + PATIENCE_SECONDS
"""The longest wait for the answer to it."""

FORGOTTEN_SECONDS = 30.0
"""A server that nobody wanted anything of for so long is not asked any more."""

LATELY_SECONDS = 2.0
"""For how long after a server's last good answer the store counts as one that answers in part."""


class Reach:
    """Exchanges commands with the servers of one store. Thread-safe. All that speak to a server share its standing.

    A server that has failed is left alone: what is meant for it fails at once with the same error, also what other
    threads wait for already. Meanwhile a thread of its own asks it again and again, and with its first answer it is
    used as before.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._clock, self._patience_seconds = clock, patience_seconds
        self._good_at = -math.inf

    @property
    def answers(self) -> bool:
        """Whether any server has given a good answer lately."""
        return self._clock() - self._good_at < LATELY_SECONDS

    def exchange(self, work: Iterable[tuple[Node, Sequence[Command]]]) -> list[list[Any] | Failure]:
        """Do what `node.exchange` does."""
        wanted = [(node, commands, self._wanted(node).away) for node, commands in work]
        absent = {n: away for n, (_, _, away) in enumerate(wanted) if away is not None}
        asked = [n for n in range(len(wanted)) if n not in absent]
        for n in absent:
            self._doubt(wanted[n][0])
        answers = exchange([(*wanted[n][:2], self.patience_seconds(wanted[n][0])) for n in asked])
        found: dict[int, list[Any] | Failure] = {**absent, **dict(zip(asked, answers, strict=True))}
        for n in asked:
            self._note(wanted[n][0], found[n])
        return [found[n] for n in range(len(wanted))]

    def patience_seconds(self, node: Node) -> float:
        """Return how long a server is waited for at the moment."""
        return max(node.standing.patience_seconds, self._patience_seconds)

    def _wanted(self, node: Node) -> Standing:
        node.standing.wanted_at = self._clock()
        return node.standing

    def _doubt(self, node: Node) -> None:
        """Let it be asked now and then whether another server has the keys of one that is left alone."""
        now = self._clock()
        if now - node.standing.doubted_at >= MAX_PAUSE_SECONDS:
            node.standing.doubted_at = now
            node.failed(redis.TimeoutError("it is left alone"))

    def _note(self, node: Node, answer: list[Any] | Failure) -> None:
        if isinstance(answer, list):
            node.standing.patience_seconds = 0.0
            if not all(isinstance(reply, Exception) for reply in answer):
                self._good_at = self._clock()
            return
        self.leave(node, answer)

    def leave(self, node: Node, problem: Failure) -> None:
        """Leave a server alone that has failed, until it answers a small question well."""
        known = self._wanted(node)
        with known.lock:
            before, known.away = known.away, problem
        if before is None:
            known.patience_seconds = min(self.patience_seconds(node) * 2, MAX_PATIENCE_SECONDS)
            threading.Thread(target=self._ask, args=(node,), name="store-reach", daemon=True).start()

    def _ask(self, node: Node) -> None:
        """Ask a server until it answers, or until nobody wants anything of it."""
        known = node.standing
        pause_seconds = FIRST_PAUSE_SECONDS
        while self._clock() - known.wanted_at < FORGOTTEN_SECONDS:
            time.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, MAX_PAUSE_SECONDS)
            problem = self._problem(node)
            if problem is None:
                break
            known.away = problem
        known.away = None

    def _problem(self, node: Node) -> Failure | None:
        """Ask a server a small question, also whether its replicas keep up. Returns why it cannot be used."""
        try:
            sent = node.write([("PING",), *questions(node, Kept.REPLICAS)])
            answer = settled(node, Kept.REPLICAS, sent.read(time.monotonic() + ASKED_SECONDS))
        except (RedisError, OSError) as error:
            # Perhaps another server has its keys by now.
            node.failed(error)
            return error
        return None if isinstance(answer, list) else answer
