"""Asks the servers, before a worker starts, whether they accept it.

A refusal is reported in one line and ends the start, because only an operator can change it. A server that cannot be
reached may come later.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress

import redis
from redis.exceptions import NoScriptError, RedisError

from worker.broker import rights
from worker.broker.connection import Link, broker_errors
from worker.broker.queues import INTAKE, RESULTS, TASK_QUEUES
from worker.broker.refusal import refuses
from worker.errors import BrokerRefused, BrokerUnavailable, ConfigurationError, OtherLayout
from worker.network.causes import because
from worker.redisio.cluster_client import nodes_of
from worker.redisio.connection import connect
from worker.redisio.kept import try_wait
from worker.state import layout
from worker.state.keys import prefixes

_NO_SCRIPT = "0" * 40

TAKEN = (*TASK_QUEUES, INTAKE)
"""The queues that a worker reads on AMQP."""


def ask_store(url: str, replicas: int = 0) -> None:
    """Raise ConfigurationError if Redis refuses: the password, the certificate, scripts, or the program's keys, which a
    node of a cluster does not have all; or to wait for `replicas`, if that is not 0. Those that are missing may come.
    Also if its state is divided in another way; an empty Redis learns how.
    """
    with connect(url) as client:
        try:
            try_rights(client)
            layout.agree(client)
            if replicas:
                try_wait(client)
        except OtherLayout as error:
            raise ConfigurationError(f"REDIS_URL: {error}") from error
        except (RedisError, OSError) as error:
            if refuses(error):
                raise ConfigurationError(f"REDIS_URL: the server refused{because(error)}: {error}") from error


def try_rights(client: redis.Redis) -> None:
    """Call an unknown script on keys of all shards. Raises the error of redis-py if that is refused."""
    if not nodes_of(client).several:
        _try_together(client, prefixes())
        return
    for prefix in prefixes():
        _try_together(client, [prefix])


def _try_together(client: redis.Redis, keys: Sequence[str]) -> None:
    with suppress(NoScriptError):
        client.evalsha(_NO_SCRIPT, len(keys), *keys)


def ask_broker(url: str, variable: str, queue_type: str | None = None, replicas: int = 0) -> None:
    """Raise ConfigurationError if the broker refuses: the password, virtual host, exchanges, queues or rights.

    On Redis only the queue `results` is checked, and that one server has all queues: if another key has a wrong type,
    jobs come from the other queues. `replicas`: see `ask_store`.
    """
    try:
        link = Link(url, [], queue_type)
        with closing(link), broker_errors("the broker refuses a queue"):
            if link.is_redis:
                with link.redis_client() as client:
                    _try_together(client, [queue.name for queue in TAKEN])
                    if replicas:
                        try_wait(client)
            link.declare([RESULTS])
            if link.confirms:
                link.declare(TAKEN)
                rights.try_rights(link.connection, TAKEN, RESULTS)
    except BrokerRefused as error:
        raise ConfigurationError(f"{variable}: {error}{because(error)}") from error
    except BrokerUnavailable:
        return
