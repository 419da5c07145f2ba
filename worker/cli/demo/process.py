"""The demo's worker: a real `callworker run` in a separate process."""

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

# A proxy in the environment must not be used for addresses of this machine.
_opener = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class WorkerProcess:
    """A running worker. `base_url` serves its metrics and health, and `log` is the file of its log lines."""

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
        """Fetch the metrics page. Empty if that fails."""
        return self._page("/metrics")

    def log_text(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")

    def complaints(self, most: int) -> list[str]:
        """The last lines of the log that are warnings, errors, or not log lines at all."""
        lines = [line for line in self.log_text().splitlines() if _is_complaint(line)]
        return lines[-most:]

    def await_ready(self) -> None:
        """Wait until the worker is ready. Raises ClickException with its last line if it does not start."""
        ends = time.monotonic() + READY_SECONDS
        while not self._page("/readyz"):
            if not self.alive or time.monotonic() > ends:
                last = (self.log_text().strip().splitlines() or ["it logged nothing"])[-1]
                raise click.ClickException(f"the worker did not start: {last}")
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
    """Run a worker with `environ` and none of this shell's settings, and end it afterwards.

    The worker has its own session, so that Ctrl-C reaches it only through this process.
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
