"""What must be true of a server before the replies of a round trip count: its file, and its replicas, have the writes.

The questions are the last commands of the round trip, over the same connection. Those at the end of this file are round
trips of their own, to all servers of a store.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import redis
from redis.exceptions import NoScriptError, RedisError

from worker.redisio import replicas
from worker.redisio.cluster_client import nodes_of
from worker.redisio.node import Command, Failure, Node
from worker.redisio.written import QUESTION, is_put_off, wait_for_file


class Kept(IntEnum):
    """How well a server must keep what it answers; each level contains those before it."""

    NOT = 0
    """For what is only shown."""
    REPLICAS = 1
    """By as many replicas as the client waits for."""
    FILE = 2
    """By Redis' file too, so that a Redis that is killed does not forget it."""


def questions(node: Node, kept: Kept, patience_seconds: float | None = None) -> list[Command]:
    """Return the commands that ask whether a server keeps what it answered before.

    `patience_seconds` is how long the answer is waited for, if that is shorter than usual.
    """
    asked: list[Command] = [QUESTION] if kept >= Kept.FILE else []
    return (
        [*asked, *replicas.question(node.client, node.mark, patience_seconds)]
        if kept >= Kept.REPLICAS
        else asked
    )


def settled(node: Node, kept: Kept, answer: list[Any] | Failure) -> list[Any] | Failure:
    """Return the replies of a server without those to `questions`, once it keeps what it answered; else the error.

    Does not wait for the file where a script was not known: the trip with its text waits for both.
    """
    if not isinstance(answer, list):
        return answer
    asked = len(questions(node, kept))
    replies, told = answer[: len(answer) - asked], answer[len(answer) - asked :]
    put_off = kept >= Kept.FILE and is_put_off(told.pop(0))
    if told and (problem := replicas.lacking(node.client, *told)):
        node.leave()
        return problem
    if put_off and not any(isinstance(reply, NoScriptError) for reply in replies):
        try:
            wait_for_file(node.client)
        except (RedisError, OSError) as error:
            return error
    return replies


def check_replicas(client: redis.Redis) -> None:
    """Raise redis-py's error unless enough replicas of each server of a store have all that was written so far."""
    for node in nodes_of(client).all():
        replicas.check(node.client, node.mark)


def try_wait(client: redis.Redis) -> None:
    """Raise redis-py's error if a server of a store does not let this user wait for replicas. Does not wait."""
    for node in nodes_of(client).all():
        replicas.try_wait(node.client)
