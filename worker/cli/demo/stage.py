"""Starts everything that the demo runs on: an embedded server, the sandbox, a webhook receiver and a worker."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.cli.demo.process import WorkerProcess, worker_process
from worker.cli.demo.props import HOST, Props, free_port, gather
from worker.cli.demo.receiver import Receiver
from worker.embedded import EmbeddedServer
from worker.sandbox import Sandbox

PROVIDER_TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class Stage:
    """The running parts."""

    props: Props
    server: EmbeddedServer
    sandbox: Sandbox
    receiver: Receiver
    worker: WorkerProcess


@contextmanager
def set_up() -> Iterator[Stage]:
    """Start all parts, and always end them in reverse order.

    Raises EmbeddedServerError, ConfigurationError, OSError, and ClickException if the worker does not start.
    """
    with tempfile.TemporaryDirectory(prefix="callworker-demo-") as name:
        props = gather(Path(name))
        with (
            EmbeddedServer(ephemeral=True) as server,
            Sandbox(HOST, 0, props.api_keys()) as sandbox,
            Receiver(HOST, props.hook_port, props.hook_secrets()) as receiver,
            worker_process(
                {**props.environ, **_settings(server, sandbox)}, Path(name, "worker.log")
            ) as worker,
        ):
            yield Stage(props, server, sandbox, receiver, worker)


def _settings(server: EmbeddedServer, sandbox: Sandbox) -> dict[str, str]:
    return {
        "REDIS_URL": server.url,
        "PROXSTOP_URL": sandbox.url,
        "PROXSTOP_TIMEOUT": str(PROVIDER_TIMEOUT_SECONDS),
        "METRICS_HOST": HOST,
        "METRICS_PORT": str(free_port()),
        "LOG_FORMAT": "json",
    }
