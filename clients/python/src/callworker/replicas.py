"""Finds out whether replicas of a Redis have what was written to it.

Source: https://redis.io/docs/latest/commands/wait/. A write counts once `WAIT` has said that enough replicas have it:
a failover to one of them does not forget it.
"""

from __future__ import annotations

from typing import Any

from redis.exceptions import ReadOnlyError, ResponseError

MAX_WAIT_SECONDS = 1.0
"""The longest wait for replicas. One that keeps up has a write after a round trip."""


class NoReplicas(ResponseError):
    """Fewer replicas than wanted have what was written: it may have been written or not, as far as it counts."""


def wait_command(replicas: int, answer_seconds: float) -> tuple[str, int, int]:
    """Return the command that waits for `replicas` of them, for less long than an answer may take.

    It is to follow the writes in question at once, over the same connection: Valkey counts no others.
    """
    return "WAIT", replicas, round(min(MAX_WAIT_SECONDS, answer_seconds / 2) * 1000)


def shortfall(reply: Any, replicas: int) -> ResponseError | None:
    """Return what the reply to `wait_command` lacks; None if `replicas` have everything.

    It is the reply itself if that is an error: a server may not know the command, or the user not be allowed to use it.
    """
    if isinstance(reply, int) and reply >= replicas:
        return None
    if isinstance(reply, ResponseError):
        is_replica = "replica instances" in str(reply)
        return ReadOnlyError("READONLY the server is a replica itself") if is_replica else reply
    count = reply if isinstance(reply, int) else 0
    return NoReplicas(f"NOREPLICAS {count} of {replicas} replicas have what was written")
