"""One installation under test: its servers, its producer and its subscribers."""

from __future__ import annotations

import base64
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Self

import redis

from tests.faults.forkserver import ForkServer
from tests.faults.load import ACCOUNTS, ENDINGS, HOOKED, Load
from tests.faults.namespace import Namespace, Place
from tests.faults.oracle import Oracle
from tests.faults.proxy import Proxy
from tests.faults.redis_server import Redis
from tests.faults.results import ResultsReader
from tests.faults.run import Run
from tests.faults.servers import Provider, Rabbit
from tests.faults.workers import Fleet, environ_for
from tests.integration.receiver import Hook, Receiver, local_hook
from tests.integration.stack import accounts_toml, api_key, key_name

_PHONE = re.compile(rb"phone=([0-9]+)")


class Bench:
    """Everything outside the workers: Redis, RabbitMQ if it is the broker, producer, subscribers. A context manager."""

    host = "127.0.0.1"
    """Where all servers but RabbitMQ listen."""
    jobs_in_a_row = 1
    """How many jobs of one account come one after the other."""

    def __init__(self, broker: str, *, forking: bool = True) -> None:
        """`broker`: "redis" (broker and state in one server) or "amqp" (RabbitMQ, with Redis for the state).

        With `forking`, workers are forked from a process with all imports done; else each starts from scratch.
        """
        self.broker, self._forking = broker, forking
        self.oracle = Oracle()
        self._exits = ExitStack()
        self._former: Redis | None = None

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="cw-faults-")))
            self.forks = exits.enter_context(ForkServer(self.folder)) if self._forking else None
            self.redis = Redis(self._subfolder("redis"), host=self.host)
            exits.enter_context(self.redis)
            self._outside = exits.enter_context(Proxy(self.redis.port))
            self.rabbit = Rabbit(self._subfolder("rabbit")) if self.broker == "amqp" else None
            if self.rabbit is not None:
                exits.enter_context(self.rabbit)
            self.receiver = exits.enter_context(Receiver(self._hooked, self.host))
            self.load = Load(self.broker_url, in_a_row=self.jobs_in_a_row)
            exits.callback(self.load.close)
            exits.enter_context(ResultsReader(self.broker_url, self.oracle.queued))
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def broker_url(self) -> str:
        """The broker's address for producer and subscribers. It stays the same when Redis is failed over."""
        return self.rabbit.url if self.rabbit is not None else f"redis://127.0.0.1:{self._outside.port}/0"

    @contextmanager
    def run(
        self,
        *,
        proxied: bool = False,
        apart: bool = False,
        settings: Mapping[str, str] = MappingProxyType({}),
        endings: Sequence[str] = ENDINGS,
    ) -> Iterator[Run]:
        """Start a provider and a fleet for some trials.

        `proxied` puts a proxy before each server. `apart` gives the workers a network of their own, too. `settings` are
        added to the workers' usual ones. `endings` are the last digits of the dialled numbers, in turn.
        """
        with ExitStack() as exits:
            folder = self._subfolder(f"run-{time.time_ns()}")
            provider = Provider(folder, self.forks, self.host)
            exits.enter_context(provider)
            proxies = {}
            heard = RequestsHeard()
            namespace = exits.enter_context(Namespace()) if apart else None
            places = self._places(namespace)
            if proxied or namespace:
                ears, host = {"provider": heard}, namespace.host if namespace else "127.0.0.1"
                for name, port in self._ports(provider):
                    proxies[name] = exits.enter_context(Proxy(port, ears.get(name, _deaf), host=host))
            environ = {**self._environ(folder, provider, proxies), **settings}
            fleet = exits.enter_context(Fleet(folder, environ, places, self.forks))
            yield Run(self, folder, provider, fleet, proxies, heard, namespace, endings)
        shutil.rmtree(folder)
        self.receiver.hooks.clear()

    @property
    def state(self) -> redis.Redis:
        """A client of the state."""
        return self.redis.client

    def follower(self) -> Redis:
        """Start a second Redis that replicates the first one."""
        follower = Redis(self._subfolder(f"redis-{time.time_ns()}"), self.redis.program, self.host)
        follower.start()
        self._exits.callback(follower.stop)
        follower.follow(self.redis)
        return follower

    def fail_over(self, follower: Redis, address: Proxy) -> None:
        """Promote `follower` to primary; from now on `address`, producer and subscribers lead to it.

        The workers' connections to the old primary stay open; it runs on as a replica until the next failover.
        """
        self.redis.hand_over(follower)
        for proxy in (address, self._outside):
            proxy.lead_to(follower.port)
        self._outside.part()
        if self._former is not None:
            self._former.stop()
        self.redis, self._former = follower, self.redis

    def _places(self, namespace: Namespace | None) -> Sequence[Place]:
        """Return where workers run, in turn; none is this machine's own network."""
        return [] if namespace is None else [namespace]

    def _ports(self, provider: Provider) -> list[tuple[str, int]]:
        ports = [("redis", self.redis.port), ("provider", provider.port), ("receiver", self.receiver.port)]
        return ports if self.rabbit is None else [*ports, ("amqp", self.rabbit.port)]

    def _environ(self, folder: Path, provider: Provider, proxies: dict[str, Proxy]) -> dict[str, str]:

        def through(name: str, url: str) -> str:
            if name not in proxies:
                return url
            port, proxy = dict(self._ports(provider))[name], proxies[name]
            return url.replace(f"127.0.0.1:{port}", f"{proxy.host}:{proxy.port}")

        webhook = local_hook(f"{through('receiver', self.receiver.url)}/events", secret_env="HOOK_SECRET")
        accounts = {
            name: {**table, "webhooks": [webhook]} if name in HOOKED else table
            for name, table in ACCOUNTS.items()
        }
        (folder / "accounts.toml").write_text(accounts_toml(accounts), encoding="utf-8")

        return environ_for(
            folder,
            REDIS_URL=through("redis", self.redis.url),
            BROKER_URL=through("amqp", self.rabbit.url) if self.rabbit else through("redis", self.redis.url),
            PROXSTOP_URL=through("provider", provider.url),
            HOOK_SECRET="whsec_" + base64.b64encode(b"0" * 24).decode(),
            **{key_name(name): api_key(name) for name in ACCOUNTS},
        )

    def _hooked(self, hook: Hook) -> int:
        self.oracle.hooked(hook.body, hook.unix)
        return 200

    def _subfolder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder


class RequestsHeard:
    """Notes when a proxy before the provider heard each request, and for which number."""

    def __init__(self) -> None:
        self.requests: list[tuple[float, str]] = []

    def __call__(self, piece: bytes, unix: float) -> None:
        """Note the request in a piece. A number split between two pieces is missed; workers write a request at once."""
        if found := _PHONE.search(piece):
            self.requests.append((unix, found[1].decode()))


def _deaf(piece: bytes, unix: float) -> None:
    """Ignore what a proxy hears."""
