"""A Redis, or a Sentinel, on a machine of its own."""

from __future__ import annotations

import os
import shutil
import signal
from abc import ABC, abstractmethod
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self, cast

import redis

from tests.failover.network import Machine
from tests.faults.servers import Server
from worker.embedded import find_binary

ANSWER_SECONDS = 2.0
LOOK_SECONDS = 0.2
"""The pause between two looks whether all is well again, which take some work."""


class Instance(Server):
    """A Redis with an append-only file, synced each second. It can be frozen, and its data set back."""

    def __init__(self, folder: Path, machine: Machine, port: int, *options: str) -> None:
        folder.mkdir()
        self.machine, self.port = machine, port
        self.client = redis.Redis(machine.guest, port, socket_timeout=ANSWER_SECONDS)
        named = f"--bind {machine.guest} --port {port} --dir {folder} --protected-mode no".split()
        kept = ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
        # Without the delay, a replica that comes back takes part again after milliseconds instead of 5 s.
        quick = ["--repl-diskless-sync-delay", "0"]
        command = [str(find_binary().path), *named, *kept, *quick, "--save", "", *options]
        super().__init__([*machine.command, *command], folder)

    @property
    def place(self) -> tuple[str, int]:
        """Its address and port."""
        return self.machine.guest, self.port

    def answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    @property
    def is_primary(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.ask("ROLE")[0] == b"master")
        return False

    @property
    def replicas(self) -> int:
        """How many replicas have all data of this server and go on receiving it."""
        with suppress(redis.RedisError):
            facts: Any = self.client.info("replication")
            rows = [facts.get(f"slave{n}", {}) for n in range(facts["connected_slaves"])]
            return sum(row.get("state") == "online" for row in rows)
        return 0

    def ask(self, *words: str | float) -> Any:
        return cast(Any, self.client).execute_command(*words)

    def freeze(self) -> None:
        """Stop it with SIGSTOP: it stays connected and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def copy_data(self, place: Path) -> None:
        """Copy its file as it is now, as a backup of a running server does."""
        shutil.copytree(self._folder / "appendonlydir", place)

    def restore_data(self, place: Path) -> None:
        """Put a copy in the place of its data, while it does not run."""
        shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)
        shutil.copytree(place, self._folder / "appendonlydir")


class Servers(ABC):
    """The servers of a state. A context manager that starts them, and ends them."""

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self._begin(exits)
            self.settle()
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @abstractmethod
    def _begin(self, exits: ExitStack) -> None:
        """Start all servers, and have `exits` end them."""

    @abstractmethod
    def settle(self) -> None:
        """Return once all is well again. Raises ServerTrouble."""


class Sentinel(Server):
    """A Sentinel that watches the group `name`."""

    def __init__(self, folder: Path, machine: Machine, port: int, watched: Instance, name: str) -> None:
        folder.mkdir()
        self.machine, self.port, self._name = machine, port, name
        self.client = redis.Redis(machine.guest, port, socket_timeout=ANSWER_SECONDS)
        file = folder / "sentinel.conf"
        host, primary = watched.place
        file.write_text(
            f"bind {machine.guest}\nport {port}\ndir {folder}\nprotected-mode no\n"
            f"sentinel monitor {name} {host} {primary} 2\n"
            f"sentinel down-after-milliseconds {name} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {name} {FAILOVER_TIMEOUT_MS}\n"
            f"sentinel parallel-syncs {name} 2\n",
            encoding="ascii",
        )
        super().__init__([*machine.command, str(find_binary().path), str(file), "--sentinel"], folder)

    def answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def look_every(self, milliseconds: int) -> None:
        """Have it ask the servers what they are so often, 10 s by default, and tell the others five times as often."""
        periods = "info-period", milliseconds, "publish-period", milliseconds // 5
        cast(Any, self.client).execute_command("SENTINEL", "DEBUG", *map(str, periods))

    def primary(self) -> tuple[str, int] | None:
        """Return the address of the server that it takes for the primary; None if it does not answer."""
        with suppress(redis.RedisError):
            found: Any = cast(Any, self.client).execute_command(
                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name
            )
            return str(found[0], "ascii"), int(found[1])
        return None


DOWN_AFTER_MS, FAILOVER_TIMEOUT_MS = 2000, 6000
"""After how long a server counts as gone, and after how long a failover that got stuck is tried again."""
