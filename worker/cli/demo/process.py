"""The demo's worker: a real `callworker run` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import click

from worker.settings import Settings

READY_SECONDS = 25.0
STOP_SECONDS = 12.0
_POLL_SECONDS = 0.1

# A proxy in the environment is not meant for this machine's own addresses.
_opener = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class WorkerProcess:
    """A worker under way; `base_url` is where its metrics and health are, `log` where its lines go."""

    process: subprocess.Popen[bytes]
    base_url: str
    log: Path

    @property
    def metrics_url(self) -> str:
        return f"{self.base_url}/metrics"

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def metrics(self) -> str:
        """The metrics page; empty if it does not come."""
        return self._page("/metrics")

    def log_text(self) -> str:
        """What has been logged so far."""
        return self.log.read_text(errors="replace")

    def complaints(self, most: int) -> list[str]:
        """The last so many log lines of warnings and errors, and what is no log line at all."""
        lines = [line for line in self.log_text().splitlines() if _is_complaint(line)]
        return lines[-most:]

    def await_ready(self) -> None:
        """Return once it is ready for work. Raises ClickException with its last word if that does not come."""
        ends = time.monotonic() + READY_SECONDS
        while not self._page("/readyz"):
            if not self.alive or time.monotonic() > ends:
                last = (self.log_text().strip().splitlines() or ["without a word"])[-1]
                raise click.ClickException(f"the worker does not start: {last}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Close the pipe that ties the worker to this process, and wait until it has ended."""
        try:
            self.process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _page(self, path: str) -> str:
        try:
            with _opener.open(self.base_url + path, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""


@contextmanager
def worker_process(environ: Mapping[str, str], log: Path) -> Iterator[WorkerProcess]:
    """Run a worker with `environ` and none of this shell's own settings; ends it afterwards.

    It is in a session of its own, so that a Ctrl-C comes to it only through here.
    """
    ours = {str(field.alias) for field in Settings.model_fields.values()}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli.demo.tied"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=inherited | dict(environ),
            start_new_session=True,
        )
    worker = WorkerProcess(process, f"http://{environ['METRICS_HOST']}:{environ['METRICS_PORT']}", log)
    try:
        worker.await_ready()
        yield worker
    finally:
        worker.stop()


def _is_complaint(line: str) -> bool:
    try:
        return json.loads(line)["level"] not in ("debug", "info")
    except (ValueError, KeyError, TypeError):
        return bool(line.strip())
