"""Tells a broker that refuses from one that is away or busy."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from amqp import exceptions as amqp
from redis.exceptions import AuthenticationError, ExecAbortError, ResponseError

from callworker.sentinels import UnknownMaster
from worker.redisio.refusals import code_of

_AMQP = (amqp.AccessRefused, amqp.NotAllowed, amqp.NotFound, amqp.PreconditionFailed, amqp.ResourceLocked)


def refuses(error: BaseException) -> bool:
    """Return whether a library's error means that the server answered, and would give the same answer again."""
    return any(_is_refusal(each) for each in _chain(error))


def _is_refusal(error: BaseException) -> bool:
    if isinstance(error, ExecAbortError):
        # A transaction failed because one of its commands was refused. Another error of the chain says why.
        return False
    if isinstance(error, ResponseError):
        return code_of(error) is None
    return isinstance(error, (*_AMQP, AuthenticationError, UnknownMaster, ssl.SSLCertVerificationError))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
