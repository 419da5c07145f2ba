"""Why a server cannot be used, in words that hold no address."""

from __future__ import annotations

import socket
import ssl

import amqp.exceptions
import pytest
import redis.exceptions

from worker.errors import BrokerUnavailable, StoreUnavailable
from worker.network.causes import Cause, because, cause_of


def chained(outer: Exception, inner: BaseException) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("problem", "cause"),
    [
        (redis.exceptions.AuthenticationError("tulip"), Cause.PASSWORD),
        (amqp.exceptions.AccessRefused("tulip", (0, 0)), Cause.PASSWORD),
        (amqp.exceptions.AccessRefused("tulip", (50, 10)), Cause.RIGHTS),
        (redis.exceptions.NoPermissionError("tulip"), Cause.RIGHTS),
        (amqp.exceptions.NotAllowed("tulip"), Cause.PLACE),
        (redis.exceptions.ResponseError("DB index is out of range"), Cause.PLACE),
        (
            redis.exceptions.ResponseError("Protocol error: unauthenticated multibulk length"),
            Cause.PASSWORD,
        ),
        (ssl.SSLCertVerificationError("tulip"), Cause.TLS),
        (socket.gaierror("tulip"), Cause.NAME),
        (ConnectionRefusedError("tulip"), Cause.REFUSED),
        (TimeoutError("tulip"), Cause.SLOW),
        (redis.exceptions.TimeoutError("tulip"), Cause.SLOW),
        (redis.exceptions.OutOfMemoryError("tulip"), Cause.MEMORY),
        (redis.exceptions.ResponseError("user_script:1: -OOM command not allowed tulip"), Cause.MEMORY),
        (redis.exceptions.ResponseError("MISCONF Errors writing to the AOF file: tulip"), Cause.DISK),
        (OSError("tulip"), Cause.OTHER),
    ],
)
def test_cause_is_found_under_what_the_adapters_made_of_it(problem: Exception, cause: Cause) -> None:
    """However deep in the chain, and said in our words alone (D8)."""
    wrapped = chained(StoreUnavailable("tulip"), chained(redis.exceptions.ConnectionError("tulip"), problem))
    assert cause_of(problem) == cause_of(wrapped) == cause
    assert because(wrapped) == (f": {cause}" if cause is not Cause.OTHER else "")


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (chained(StoreUnavailable("x"), redis.exceptions.ReadOnlyError("tulip")), f": {Cause.REPLICA}"),
        (
            chained(StoreUnavailable("x"), redis.exceptions.ResponseError("LOADING tulip")),
            ": Redis answers LOADING",
        ),
        (BrokerUnavailable("tulip"), ""),
        (KeyError("tulip"), ": KeyError, see the log"),
    ],
)
def test_readiness_tells_a_servers_answer_and_nothing_of_its_text(problem: Exception, told: str) -> None:
    """A text may hold an address with a password, or a part of a job (D8)."""
    assert because(problem) == told
