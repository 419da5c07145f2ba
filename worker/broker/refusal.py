"""Tells a broker that says no from one that is away or busy."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from amqp import exceptions as amqp
from redis.exceptions import AuthenticationError, ExecAbortError, ResponseError

from worker.redisio.refusals import code_of

_AMQP = (amqp.AccessRefused, amqp.NotAllowed, amqp.NotFound, amqp.PreconditionFailed, amqp.ResourceLocked)


def refuses(problem: BaseException) -> bool:
    """Whether a library's error means that the server answered and will answer so again."""
    return any(_is_refusal(each) for each in _chain(problem))


def _is_refusal(problem: BaseException) -> bool:
    if isinstance(problem, ExecAbortError):
        # Of a transaction one of whose commands was refused; why, another error of the chain says.
        return False
    if isinstance(problem, ResponseError):
        return code_of(problem) is None
    return isinstance(problem, (*_AMQP, AuthenticationError, ssl.SSLCertVerificationError))


def _chain(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__
