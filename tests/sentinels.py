"""Three machines on loopback, each with a Redis and a Sentinel, of which a test may kill or freeze some."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

from tests.processes import absent, free_port, process, wait_until, wait_until_served
from tests.redis_server import RedisServer, follow, redis_binary

NAME = "callworker"
DOWN_AFTER_SECONDS = 2.0
"""How long a master must not answer before a Sentinel considers it down."""
QUORUM = 2
FAIL_OVER_SECONDS = 90
"""The longest wait for a failover on a machine that does much else. One that begins badly is begun again after 10 s."""

_PATIENT = {
    "info-period": "200", "ping-period": "200", "ask-period": "200", "publish-period": "200",
    "tilt-trigger": "60000", "tilt-period": "1000", "default-failover-timeout": "10000",
}  # fmt: skip
"""Sentinels hear of each other and of replicas soon, and do not stop working because the machine is busy."""


class Sentinel:
    """One Sentinel, which is started when it is made."""

    def __init__(self, stack: ExitStack, folder: Path, master_port: int, options: Sequence[str] = ()) -> None:
        folder.mkdir()
        self.port = free_port()
        file = folder / "sentinel.conf"
        rows = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            f"sentinel monitor {NAME} 127.0.0.1 {master_port} {QUORUM}",
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_SECONDS * 1000:.0f}",
            f"sentinel failover-timeout {NAME} 10000",
            f"sentinel parallel-syncs {NAME} 2",
            *options,
        ]
        file.write_text("\n".join(rows) + "\n", encoding="utf-8")
        self._running = ExitStack()
        stack.push(self._running)
        command = [redis_binary(), str(file), "--sentinel"]
        self._process: subprocess.Popen[bytes] = self._running.enter_context(process(command, folder))
        wait_until_served(self._process, self._answers, folder)
        try:
            with self.client() as client:
                client.execute_command(
                    "SENTINEL", "DEBUG", *(word for pair in _PATIENT.items() for word in pair)
                )
        except redis.ResponseError:
            absent("a Redis whose Sentinels can be told to hurry, 7.0 or newer")

    def client(self) -> Any:
        """Return a client for its own commands."""
        return redis.Redis(port=self.port, decode_responses=True, socket_timeout=20)

    def facts(self) -> dict[str, Any]:
        """Return what it knows of the master."""
        with self.client() as client:
            return dict(client.sentinel_master(NAME))

    def stop(self) -> None:
        self._running.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within this context it stays connected and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


class Installation:
    """Three servers, the first of them the master, and three Sentinels that know each other and the replicas."""

    def __init__(
        self, stack: ExitStack, folder: Path, *options: str, sentinel_options: Sequence[str] = ()
    ) -> None:
        """`options` are the servers'. `stack` ends all."""
        self.servers: list[RedisServer] = []
        for number in range(3):
            place = folder / f"redis-{number}"
            place.mkdir()
            server = RedisServer(place, "--repl-diskless-sync-delay", "0", *options)
            self.servers.append(stack.enter_context(server))
        first, *others = self.servers
        with client_of(first) as primary:
            for other in others:
                with client_of(other) as replica:
                    follow(replica, primary)
        self.sentinels = [
            Sentinel(stack, folder / f"sentinel-{number}", first.port, sentinel_options)
            for number in range(3)
        ]
        self.wait_until_whole()

    @property
    def url(self) -> str:
        """The address for store, broker and clients."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}/0"

    def wait_until_whole(self) -> None:
        """Start what has been killed, and wait until all servers and Sentinels are as they were at the beginning."""
        for server in self.servers:
            if not server.answers():
                server.start()
        wait_until(self._ready, "the Sentinels know each other and the replicas", FAIL_OVER_SECONDS)

    @contextmanager
    def split(self) -> Iterator[tuple[RedisServer, RedisServer]]:
        """Have another master chosen, while the old one refuses to become a replica and goes on as it was.

        Yields the old and the new one. Afterwards the Sentinels may make the old one a replica.
        """
        old = self.master()
        with client_of(old) as client, self.sentinels[0].client() as sentinel:
            client.execute_command("ACL", "SETUSER", "default", "-replicaof", "-slaveof")
            try:
                sentinel.sentinel_failover(NAME)
                yield old, self.wait_for_another_than(old)
            finally:
                client.execute_command("ACL", "SETUSER", "default", "+replicaof", "+slaveof")

    def master(self) -> RedisServer:
        """Return the server that most Sentinels name."""
        ports = [port for port in map(self._named, self.sentinels) if port is not None]
        port = max(ports, key=ports.count)
        return next(server for server in self.servers if server.port == port)

    def wait_for_another_than(self, old: RedisServer) -> RedisServer:
        """Wait until all Sentinels that run name another master, which answers as one, and return it."""
        wait_until(lambda: self._agreed(old.port), "another server is the master", FAIL_OVER_SECONDS)
        return self.master()

    def _agreed(self, old: int) -> bool:
        ports = {port for port in map(self._named, self.sentinels) if port is not None}
        return len(ports) == 1 and old not in ports and _is_master(self.master())

    def _named(self, sentinel: Sentinel) -> int | None:
        with suppress(redis.RedisError), sentinel.client() as client:
            return int(client.sentinel_get_master_addr_by_name(NAME)[1])
        return None

    def _ready(self) -> bool:
        facts = [sentinel.facts() for sentinel in self.sentinels]
        return all(
            (each["num-other-sentinels"], each["num-slaves"], each["flags"]) == (2, 2, "master")
            and self._hears_all(sentinel)
            for each, sentinel in zip(facts, self.sentinels, strict=True)
        )

    def _hears_all(self, sentinel: Sentinel) -> bool:
        """Return whether it can fail over: it has links to the replicas, and knows that they are in step."""
        with sentinel.client() as client:
            told = client.sentinel_slaves(NAME)
        return all(each["flags"] == "slave" and each["master-link-status"] == "ok" for each in told)


def client_of(server: RedisServer) -> Any:
    """Return a client of one server."""
    return redis.Redis(port=server.port, socket_timeout=20)


def _is_master(server: RedisServer) -> bool:
    with suppress(redis.RedisError), client_of(server) as client:
        return bool(client.role()[0] in ("master", b"master"))
    return False


@contextmanager
def installation(folder: Path, *options: str) -> Iterator[Installation]:
    """Start three servers and three Sentinels; end them afterwards."""
    with ExitStack() as stack:
        yield Installation(stack, folder, *options)
