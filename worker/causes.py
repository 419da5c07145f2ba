"""Why a server cannot be used, told from the errors of the libraries that asked it: in words that hold no address."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import amqp.exceptions
import redis.exceptions


class Cause(StrEnum):
    """What a person can do something about."""

    PASSWORD = "the user name or password is refused"  # noqa: S105 (words for people)
    RIGHTS = "this user lacks rights"
    PLACE = "there is no such database or virtual host, or this user may not use it"
    TLS = "the TLS connection fails, or its certificate is refused"
    NAME = "the host's name has no address"
    REFUSED = "nothing listens there"
    SLOW = "no answer in time"
    OTHER = "see the error"


_BY_TYPE: tuple[tuple[Cause, tuple[type[BaseException], ...]], ...] = (
    (
        Cause.PASSWORD,
        (redis.exceptions.AuthenticationError, redis.exceptions.AuthenticationWrongNumberOfArgsError),
    ),
    (Cause.RIGHTS, (redis.exceptions.NoPermissionError,)),
    (Cause.PLACE, (amqp.exceptions.NotAllowed,)),
    (Cause.TLS, (ssl.SSLError,)),
    (Cause.NAME, (socket.gaierror,)),
    (Cause.REFUSED, (ConnectionRefusedError, FileNotFoundError)),
    (Cause.SLOW, (TimeoutError, redis.exceptions.TimeoutError)),
)
_BEFORE_ANY_QUEUE = (0, 10)
"""AMQP's numbers for the connection itself: what is refused there, is refused before a queue is named."""


def cause_of(problem: BaseException) -> Cause:
    """The first cause that is known among `problem` and what led to it."""
    return next((cause for link in _chain(problem) if (cause := _known(link))), Cause.OTHER)


def _known(problem: BaseException) -> Cause | None:
    if isinstance(problem, amqp.exceptions.AccessRefused):
        return Cause.PASSWORD if problem.method_sig[0] in _BEFORE_ANY_QUEUE else Cause.RIGHTS
    if isinstance(problem, redis.exceptions.ResponseError) and "DB index is out of range" in str(problem):
        return Cause.PLACE
    return next((cause for cause, types in _BY_TYPE if isinstance(problem, types)), None)


def _chain(problem: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = problem
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
