"""Finds out whether enough replicas have what Redis has answered. See docs/decisions/0026.

What an answer rests on may be a write of another connection, such as the record of a job that came before. `WAIT`
speaks of the writes of its own connection only, and Valkey 9 takes that literally. Replicas get all writes in their
order, so a small write of our own before it stands for all that came before.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.exceptions import OutOfMemoryError, ResponseError

from callworker.replicas import MAX_WAIT_SECONDS, shortfall, wait_command
from worker.redisio.refusals import code_of

MARK = "callworker:replicas"
"""The key of the small write. It holds nothing of use."""

WAITED_SHARE = 0.8
"""The share of the patience with a server that it may spend on waiting for replicas."""

Question = tuple[tuple[str | int, ...], ...]


def replicas_of(client: redis.Redis) -> int:
    """Return how many replicas must have a write before anything follows from it, see `connect`."""
    return int(getattr(client.connection_pool, "replicas", 0))


def question(client: redis.Redis, mark: str = MARK, patience_seconds: float | None = None) -> Question:
    """Return the commands that ask, for the end of a round trip; none if no replica is waited for.

    With `patience_seconds`, the server gives up so early that its answer, which says why, comes within that time.
    """
    replicas = replicas_of(client)
    if not replicas:
        return ()
    seconds = client.connection_pool.connection_kwargs.get("socket_timeout") or 2 * MAX_WAIT_SECONDS
    if patience_seconds is not None:
        seconds = min(seconds, 2 * patience_seconds * WAITED_SHARE)
    return ("SET", mark, "1"), wait_command(replicas, seconds)


def lacking(client: redis.Redis, marked: Any, waited: Any) -> ResponseError | None:
    """Return what the replies to `question` lack; None if enough replicas have everything that was answered before.

    A server whose memory is full refuses the small write. What it still takes are scripts that write, and `WAIT` covers
    those by itself.
    """
    if isinstance(marked, ResponseError) and not _is_full(marked):
        return marked
    return shortfall(waited, replicas_of(client))


def check(client: redis.Redis, mark: str = MARK) -> None:
    """Raise redis-py's error unless enough replicas have all that was written so far, by whatever connection.

    Takes a round trip of its own, and none if no replica is waited for.
    """
    commands = question(client, mark)
    if not commands:
        return
    with client.pipeline(transaction=False) as pipeline:
        pipe: Any = pipeline
        for words in commands:
            pipe.execute_command(*words)
        if problem := lacking(client, *pipeline.execute(raise_on_error=False)):
            raise problem


def try_wait(client: redis.Redis) -> None:
    """Raise redis-py's error if the server does not let this user wait for replicas. Does not wait."""
    asked: Any = client
    try:
        reply = asked.execute_command(*wait_command(0, MAX_WAIT_SECONDS))
    except ResponseError as error:
        reply = error
    if problem := shortfall(reply, 0):
        raise problem


def _is_full(error: ResponseError) -> bool:
    return isinstance(error, OutOfMemoryError) or code_of(error) == "OOM"
