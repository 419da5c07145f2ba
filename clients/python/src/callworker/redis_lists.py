"""Messages in the form in which kombu keeps them in lists of Redis, and what a Redis says to them.

Shared by the clients of redis-py and of its asyncio part.
"""

from __future__ import annotations

import itertools
import json
import re
import ssl
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from callworker.errors import BrokerRefused, BrokerUnavailable
from callworker.message import Message
from callworker.replicas import shortfall
from callworker.sentinels import UnknownMaster

MAX_PUT_OFF_SECONDS = 2.5
"""The longest wait for a file. Redis writes after 2 s at the latest, however long the sync takes."""
LOOK_SECONDS = 0.005
"""The pause between two questions while waiting."""

_BUSY = (ClusterDownError, MasterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_BUSY_CODES = re.compile("-?(BUSY|LOADING|MISCONF|NOREPLICAS|OOM|READONLY|UNBLOCKED) ")
"""Answers of a server that cannot take a message at the moment; all others would be the same again."""


@contextmanager
def redis_errors(doing: str) -> Iterator[None]:
    """Turn any error of redis-py into BrokerUnavailable or BrokerRefused, with `doing` as its beginning."""
    try:
        yield
    except (RedisError, OSError) as error:
        kind = BrokerRefused if _refuses(error) else BrokerUnavailable
        raise kind(f"{doing}: {str(error) or type(error).__name__}") from error


def _refuses(error: BaseException) -> bool:
    if isinstance(error, ResponseError):
        return not isinstance(error, _BUSY) and not _BUSY_CODES.match(str(error))
    certificate = isinstance(error.__cause__ or error.__context__ or error, ssl.SSLCertVerificationError)
    return certificate or isinstance(error, AuthenticationError | UnknownMaster)


class Envelopes:
    """Packs messages. Each gets a tag of its own, by which a worker acknowledges it."""

    def __init__(self) -> None:
        self._tags = map(f"{uuid.uuid4()}-{{}}".format, itertools.count())

    def lists(self, batch: Sequence[Message]) -> dict[str, list[str]]:
        """Return the packed messages of each queue in their order."""
        found: dict[str, list[str]] = {}
        for message in batch:
            found.setdefault(message.queue, []).append(self._packed(message))
        return found

    def _packed(self, message: Message) -> str:
        """Source: `prepare_message` and `_inplace_augment_message` in kombu/transport/virtual/base.py, kombu 5."""
        return json.dumps({
            "body": b64encode(message.body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": message.headers,
            "properties": {
                "correlation_id": message.task_id,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": message.queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": next(self._tags),
            },
        })  # fmt: skip


def check(replies: Sequence[Any], queues: Sequence[str], replicas: int = 0) -> bool:
    """Check the replies to one LPUSH for each queue, to WAIT if there are `replicas` to wait for, and to INFO.

    Returns whether Redis puts its writes off. Raises the first error. It does not quote the command, which redis-py
    would, and so part of a message.
    """
    *pushed, facts = replies
    waited = pushed.pop() if replicas else 0
    for queue, reply in zip(queues, pushed, strict=True):
        if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
            raise ResponseError(f"WRONGTYPE: a key has another type than it should: {queue}")
        if isinstance(reply, Exception):
            raise reply
    if problem := shortfall(waited, replicas):
        raise problem
    if isinstance(facts, Exception) and not isinstance(facts, ResponseError):
        raise facts
    return puts_writes_off(facts)


def puts_writes_off(facts: Any) -> bool:
    """Tell from the reply of `INFO persistence` whether a sync is under way, so that writes are delayed.

    A user who may not ask is answered with an error, which counts as no.
    """
    pending = facts.get("aof_pending_bio_fsync") if isinstance(facts, Mapping) else 0
    return isinstance(pending, int) and pending > 0
