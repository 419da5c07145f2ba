"""Why a server cannot be used, told from the errors of the libraries that asked it: in words that hold no address."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import amqp.exceptions
import redis.exceptions

from worker.errors import BrokerUnavailable, StoreUnavailable


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
_CODES: dict[type[BaseException], str] = {
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.MasterDownError: "MASTERDOWN",
}
"""redis-py takes these words off the text."""

_BEFORE_ANY_QUEUE = (0, 10)
"""AMQP's numbers for the connection itself: what is refused there, is refused before a queue is named."""


def cause_of(problem: BaseException) -> Cause:
    """The first cause that is known among `problem` and what led to it."""
    return next((cause for link in _chain(problem) if (cause := _known(link))), Cause.OTHER)


def because(problem: BaseException) -> str:
    """What to say after "cannot be used" or "fails": ": " and the cause, or nothing where none is known.

    Holds neither an address nor anything of a job, whatever the error's own text holds.
    """
    cause = cause_of(problem)
    if cause is not Cause.OTHER:
        return f": {cause}"
    if code := next((found for link in _chain(problem) if (found := _reply_code(link))), None):
        return f": Redis answers {code}"
    expected = isinstance(problem, StoreUnavailable | BrokerUnavailable)
    return "" if expected else f": {type(problem).__name__}, see the log"


def _reply_code(problem: BaseException) -> str | None:
    """The word in capitals that an error reply of Redis begins with, as redis-py keeps or names it."""
    if not isinstance(problem, redis.exceptions.ResponseError):
        return None
    named = next((code for kind, code in _CODES.items() if isinstance(problem, kind)), None)
    word = str(problem).partition(" ")[0]
    return named or (word if re.fullmatch("[A-Z]{3,20}", word) else None)


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
