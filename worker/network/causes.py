"""Finds out why a server cannot be used, from the errors of the libraries that asked it. Its words hold no address."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import amqp.exceptions
import redis.exceptions

from callworker.sentinels import NoMaster, UnknownMaster
from worker.errors import BrokerBlocked, BrokerUnavailable, OtherLayout, StoreSetBack, StoreUnavailable


class Cause(StrEnum):
    """The causes that a person can do something about."""

    PASSWORD = "the user name or password is refused"  # noqa: S105 (words for people)
    RIGHTS = "this user lacks rights"
    PLACE = "there is no such database or virtual host, or this user may not use it"
    TLS = "the TLS connection fails, or its certificate is refused"
    NAME = "the host's name has no address"
    REFUSED = "nothing listens there"
    SLOW = "no answer in time"
    MEMORY = "its memory is full, so it refuses writes"
    DISK = "it cannot write its files, so it refuses writes"
    BLOCKED = "it is short of memory or disk space, so it takes no messages"
    REPLICA = "it is a replica, which takes no writes"
    REPLICAS = "too few of its replicas keep up, so no write counts"
    UNKNOWN_MASTER = "no Sentinel knows a master of that name"
    NO_MASTER = "no Sentinel names a master that can be used"
    CLUSTER = "it is a node of a Redis Cluster, which has only a part of the keys"
    SLOTS = "a part of the cluster has no primary"
    LAYOUT = "its state is divided in another way"
    SET_BACK = "its state went back in time"
    OTHER = "see the error"


_BY_TYPE: tuple[tuple[Cause, tuple[type[BaseException], ...]], ...] = (
    (
        Cause.PASSWORD,
        (redis.exceptions.AuthenticationError, redis.exceptions.AuthenticationWrongNumberOfArgsError),
    ),
    (Cause.RIGHTS, (redis.exceptions.NoPermissionError,)),
    (Cause.MEMORY, (redis.exceptions.OutOfMemoryError,)),
    (Cause.REPLICA, (redis.exceptions.ReadOnlyError, redis.exceptions.MasterDownError)),
    (Cause.SLOTS, (redis.exceptions.ClusterDownError,)),
    (Cause.CLUSTER, (redis.exceptions.AskError, redis.exceptions.ClusterCrossSlotError)),
    (Cause.SET_BACK, (StoreSetBack,)),
    (Cause.UNKNOWN_MASTER, (UnknownMaster,)),
    (Cause.NO_MASTER, (NoMaster,)),
    (Cause.BLOCKED, (BrokerBlocked,)),
    (Cause.LAYOUT, (OtherLayout,)),
    (Cause.PLACE, (amqp.exceptions.NotAllowed,)),
    (Cause.TLS, (ssl.SSLError,)),
    (Cause.NAME, (socket.gaierror,)),
    (Cause.REFUSED, (ConnectionRefusedError, FileNotFoundError)),
    (Cause.SLOW, (TimeoutError, redis.exceptions.TimeoutError)),
)
_BY_TEXT = {
    "DB index is out of range": Cause.PLACE,
    "Protocol error: unauthenticated": Cause.PASSWORD,
    "OOM command not allowed": Cause.MEMORY,
    "used memory > 'maxmemory'": Cause.MEMORY,
    "MISCONF ": Cause.DISK,
    "READONLY ": Cause.REPLICA,
    "NOREPLICAS ": Cause.REPLICAS,
}
"""Error replies of Redis for which redis-py has no class, or not in the error of a script."""

_BEFORE_ANY_QUEUE = (0, 10)
"""AMQP's class numbers for the connection itself. A refusal there comes before a queue is named."""


def cause_of(error: BaseException) -> Cause:
    """Find the first known cause in the chain of `error`."""
    return next((cause for link in _chain(error) if (cause := _known(link))), Cause.OTHER)


def because(error: BaseException) -> str:
    """The text after "cannot be used" or "failed": ": " and the cause, or nothing if none is known.

    It holds neither an address nor any part of a job, even if the text of the error does.
    """
    cause = cause_of(error)
    if cause is not Cause.OTHER:
        return f": {cause}"
    if code := next((found for link in _chain(error) if (found := _reply_code(link))), None):
        return f": Redis answers {code}"
    expected = isinstance(error, StoreUnavailable | BrokerUnavailable)
    return "" if expected else f": {type(error).__name__}, see the log"


def _reply_code(error: BaseException) -> str | None:
    """The word in capitals at the start of an error reply of Redis, as far as redis-py keeps it."""
    if not isinstance(error, redis.exceptions.ResponseError):
        return None
    word = str(error).partition(" ")[0]
    return word if re.fullmatch("[A-Z]{3,20}", word) else None


def _known(error: BaseException) -> Cause | None:
    if isinstance(error, amqp.exceptions.AccessRefused):
        return Cause.PASSWORD if error.method_sig[0] in _BEFORE_ANY_QUEUE else Cause.RIGHTS
    if isinstance(error, redis.exceptions.ResponseError):
        by_text = next((cause for text, cause in _BY_TEXT.items() if text in str(error)), None)
        if by_text is not None:
            return by_text
    return next((cause for cause, types in _BY_TYPE if isinstance(error, types)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
