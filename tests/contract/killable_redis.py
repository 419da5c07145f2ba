"""A Redis that a test may kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import redis

from tests.conftest import absent, process, wait_until
from worker.embedded import EmbeddedServerError, find_binary


class KillableRedis:
    """A Redis with an append-only file, synced each second, that can be killed and started again.

    `options` are further ones of the server. `sync_seconds`: how much longer the disk takes for it; with any, strace
    runs the server.
    """

    def __init__(self, folder: Path, port: int, *options: str, sync_seconds: float = 0.0) -> None:
        self._folder, self._port, self._options = folder, port, options
        self._sync_seconds = sync_seconds
        self._running: Any = None

    def start(self) -> None:
        try:
            binary = str(find_binary().path)
        except EmbeddedServerError:
            absent("a Redis or Valkey server")
        options = f"--bind 127.0.0.1 --port {self._port} --appendonly yes --dir {self._folder}".split()
        self._running = process(
            [*self._slowing(), binary, *options, "--save", "", *self._options], self._folder
        )
        self._server: subprocess.Popen[bytes] = self._running.__enter__()
        wait_until(self._answers, "Redis answers")

    def kill(self) -> None:
        with redis.Redis(port=self._port) as client:
            facts: Any = client.info("server")
        os.kill(facts["process_id"], signal.SIGKILL)
        self._server.wait(20)

    def _slowing(self) -> list[str]:
        if not self._sync_seconds:
            return []
        if not shutil.which("strace"):
            absent("strace")
        inject = f"inject=fdatasync:delay_enter={self._sync_seconds * 1e6:.0f}"
        return ["strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=fdatasync", "-e", inject]

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self._port) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def __enter__(self) -> KillableRedis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)
