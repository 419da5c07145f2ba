"""Asks the servers, before a worker starts, whether they will have it.

One that refuses is told in one line and ends the start: only an operator can change it. One that is away may come
later.
"""

from __future__ import annotations

from contextlib import closing, suppress

import redis
from redis.exceptions import NoScriptError, RedisError

from worker.broker import rights
from worker.broker.connection import Link, broker_errors
from worker.broker.queues import INTAKE, RESULTS, TASK_QUEUES
from worker.broker.refusal import refuses
from worker.errors import BrokerRefused, BrokerUnavailable, ConfigurationError
from worker.redisio.connection import connect
from worker.state.keys import prefix

_NO_SCRIPT = "0" * 40

TAKEN = (*TASK_QUEUES, INTAKE)
"""The queues that a worker reads on AMQP."""


def ask_store(url: str) -> None:
    """Raises ConfigurationError where Redis answers and refuses: password, certificate, scripts, the program's keys."""
    with connect(url) as client:
        try:
            try_rights(client)
        except (RedisError, OSError) as error:
            if refuses(error):
                raise ConfigurationError(f"REDIS_URL: the server refuses: {error}") from error


def try_rights(client: redis.Redis) -> None:
    """Ask for a script that is not there, on a key of the program. Raises what redis-py raises if that is refused."""
    with suppress(NoScriptError):
        client.evalsha(_NO_SCRIPT, 1, prefix(0))


def ask_broker(url: str, variable: str, queue_type: str | None = None) -> None:
    """Raises ConfigurationError where the broker answers and refuses: password, virtual host, exchanges, queues,
    rights.

    On Redis only the way out is looked at: where a key holds something else, jobs come from the other queues.
    """
    try:
        link = Link(url, [RESULTS], queue_type)
        with closing(link), broker_errors("the broker refuses a queue"):
            if link.confirms:
                link.declare(TAKEN)
                rights.try_rights(link.connection, TAKEN, RESULTS)
    except BrokerRefused as error:
        raise ConfigurationError(f"{variable}: {error}") from error
    except BrokerUnavailable:
        return
