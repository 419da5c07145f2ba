"""A producer of jobs that can be followed from outside: no number belongs to more than one job."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import kombu
import redis
from amqp.exceptions import AMQPError
from celery import Celery
from kombu.exceptions import KombuError

from tests.faults.servers import ServerTrouble

_KINDS: dict[str, dict[str, Any]] = {
    "never": {"rate": "1200/m", "burst": 10, "concurrency": 20, "redials": 0},
    "once": {"rate": "600/m", "burst": 5, "concurrency": 20, "redials": 1},
    "twice": {"rate": "10/s", "burst": 2, "concurrency": 20, "redials": 2},
}
ACCOUNTS = {f"{kind}-{n}": table for n in range(4) for kind, table in _KINDS.items()}
HOOKED = frozenset(name for name in ACCOUNTS if name.startswith("once"))
"""The accounts whose events go to a webhook too."""

ENDINGS = ("5555", "5556", "0002", "5557", "5558", "0004", "5559", "5560", "0009", "5561")
"""Last digits of the numbers in turn; the sandbox's table says what 0002, 0004 and 0009 do."""

SLOW_ENDINGS = ("5555", "0010", "0010", "0002", "0010", "0010", "0004", "0010", "5556", "0010", "0009")
"""The same, where most calls are in flight for 2 s."""

TAKEN_WITHIN_SECONDS = 120.0
TROUBLE = (OSError, KombuError, AMQPError, redis.RedisError, AttributeError, KeyError)
"""What stock clients raise when their broker is away; py-amqp and kombu also let the last two out."""

_serial = itertools.count(1)


@dataclass(frozen=True)
class Sent:
    """A job that the broker has taken: its `id`, its account, its unique number, and when it was first given to the
    broker (Unix seconds)."""

    id: str
    account: str
    phone: str
    unix: float

    @property
    def rings_most(self) -> int:
        return 1 + int(ACCOUNTS[self.account]["redials"])


class Load:
    """Sends jobs as Celery messages and as plain JSON, in turn, and every tenth in both forms. For one thread."""

    def __init__(
        self, broker_url: str, headers: Mapping[str, str] = MappingProxyType({}), *, in_a_row: int = 1
    ) -> None:
        """`headers` are those of Celery messages, besides Celery's own. So many jobs `in_a_row` are of one account."""
        self._in_a_row = in_a_row
        self._url, self._amqp = broker_url, broker_url.startswith("amqp")
        self._celery = Celery("faults", broker=broker_url, set_as_current=False)
        self._headers = dict(headers)
        self._redis = None if self._amqp else redis.Redis.from_url(broker_url, socket_timeout=10)
        self._connection: Any = None
        self._leaving = threading.Event()

    def close(self) -> None:
        self._leaving.set()
        self._drop()
        self._celery.close()

    def send(self, count: int, pause_seconds: float = 0.0, endings: Sequence[str] = ENDINGS) -> list[Sent]:
        """Send `count` new jobs to numbers with these last digits in turn, each repeated until the broker confirms it.
        Raises ServerTrouble."""
        sent = []
        for _ in range(count):
            sent.append(self._one(next(_serial), endings))
            self._leaving.wait(pause_seconds)
        return sent

    def _one(self, serial: int, endings: Sequence[str]) -> Sent:
        account = list(ACCOUNTS)[serial // self._in_a_row % len(ACCOUNTS)]
        phone = f"{200_000 + serial}{endings[serial % len(endings)]}"
        job = {"id": f"job-{serial}", "account": account, "country": "1", "phone": phone, "code": "4711"}
        unix = time.time()
        self.give(job, serial)
        return Sent(job["id"], account, phone, unix)

    def give(self, job: dict[str, str], turn: int) -> None:
        """Give a job to the broker in the form that it is the turn of, or in both, until the broker confirms it.
        Raises ServerTrouble."""
        ways = [self._as_task, self._as_json]
        for way in ways if turn % 10 == 7 else [ways[turn // 2 % 2]]:
            self._surely(way, job)

    def _surely(self, way: Callable[[dict[str, str]], None], job: dict[str, str]) -> None:
        ends = time.monotonic() + TAKEN_WITHIN_SECONDS
        while not self._taken(way, job):
            if time.monotonic() > ends or self._leaving.wait(0.1):
                raise ServerTrouble("the broker takes no jobs")

    def _taken(self, way: Callable[[dict[str, str]], None], job: dict[str, str]) -> bool:
        try:
            way(job)
        except TROUBLE:
            self._drop()
            return False
        return True

    def _as_task(self, job: dict[str, str]) -> None:
        self._celery.send_task(
            "calls.verify",
            kwargs=job,
            queue="calls",
            headers=self._headers,
            connection=self._live(),
            retry=False,
            delivery_mode=2,
        )

    def _as_json(self, job: dict[str, str]) -> None:
        if self._redis is not None:
            self._redis.xadd("calls.intake", {"job": json.dumps(job)})
            return
        self._live().Producer().publish(
            json.dumps(job),
            exchange="",
            routing_key="calls.intake",
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            mandatory=True,
        )

    def _live(self) -> Any:
        if self._connection is None:
            options = {"confirm_publish": True} if self._amqp else {"socket_timeout": 10}
            self._connection = kombu.Connection(self._url, transport_options=options, connect_timeout=5)
            self._connection.ensure_connection(max_retries=1, reraise_as_library_errors=False)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*TROUBLE):
                connection.collect(5)
