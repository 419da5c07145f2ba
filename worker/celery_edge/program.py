"""Celery's worker program, changed so that several can run on one host."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from celery.apps.worker import Worker
from celery.exceptions import CPendingDeprecationWarning
from celery.platforms import SecurityWarning
from celery.utils.nodenames import default_nodename, node_format
from celery.worker import state

from worker import failpoints
from worker.broker.address import redis_broker
from worker.broker.queues import TASK_QUEUES
from worker.celery_edge.leaving import leave
from worker.celery_edge.log_lines import tell_end, tell_fewer_webhooks, tell_start
from worker.celery_edge.process_file import process_file
from worker.celery_edge.signals import answer_signals
from worker.celery_edge.starting import refused_in_lines, tell_unread_variables
from worker.embedded import EmbeddedServer
from worker.errors import ConfigurationError, every
from worker.preflight import checks, open_files
from worker.preflight.accounts import ReadAccounts
from worker.settings import Settings
from worker.telemetry import logs
from worker.wiring import Wiring

SWITCH_SECONDS = 0.002
"""The time after which a busy thread lets another one run. Python's 5 ms are longer than many slots are valid."""

GARBAGE_THRESHOLD = 20_000
"""Objects between two searches for cycles. With Python's 700 there would be a search every few jobs."""


class CallWorker(Worker):
    """A worker with a unique name, and without Celery's messages between workers, which this program does not need."""

    pidfile: str | None = None

    def __init__(self, app: Any = None, hostname: str | None = None, **options: Any) -> None:
        if hostname in (None, default_nodename(None)):
            hostname = f"callworker-{os.getpid()}@{socket.gethostname()}"
        # Celery warns the user root of pickle, which is refused here.
        warnings.simplefilter("ignore", SecurityWarning)
        if self.settings.log_format == "json" and not options.get("logfile"):
            # Celery's banner would stand between the lines of the log.
            options["quiet"] = True
        options |= {"without_mingle": True, "without_gossip": True, "without_heartbeat": True}
        with refused_in_lines():
            checked = self._check(partial(self._log_to, options.get("logfile"), hostname))
            super().__init__(app, hostname, **options)
            wished = self.settings.webhooks_in_flight
            self.webhooks = open_files.allow(self.concurrency, wished)
            wiring = Wiring(self.settings, self.concurrency, self.webhooks, checked)
            self.engine, self.accounts = wiring.engine, wiring.accounts
            self.reread_accounts = wiring.accounts_watch.ask
            self.count_finished = wiring.metrics.count_finished
        tell_unread_variables(wiring.accounts.now.variables())
        tell_fewer_webhooks(self.webhooks, wished)

    @property
    def settings(self) -> Settings:
        return cast(Settings, self.app.settings)

    def _check(self, open_log: Callable[[], object]) -> ReadAccounts:
        """Check everything before the start. The log comes first, because the other checks write to it."""
        read = list[ReadAccounts]()
        every([open_log, failpoints.arm_from, lambda: read.append(checks.check(self.settings))])
        return read[0]

    def _log_to(self, path: str | None, hostname: str | None) -> None:
        stream = _log_file(path, default_nodename(hostname)) if path else None
        logs.configure(self.settings.log_level, self.settings.log_format, stream)

    def setup_queues(self, include: Any, exclude: Any = None) -> None:
        """Set up queues as Celery does, but leave none to the consumer on Redis, where the engine fetches."""
        super().setup_queues(include, exclude)
        if redis_broker(self.settings) is not None:
            self.app.amqp.queues.deselect([queue.name for queue in TASK_QUEUES])

    def install_platform_tweaks(self, worker: Any) -> None:
        super().install_platform_tweaks(worker)
        answer_signals(self.reread_accounts)

    def on_init_blueprint(self) -> None:
        super().on_init_blueprint()
        # Celery warns at each reconnect of a setting without effect here, and has just enabled that warning.
        warnings.simplefilter("ignore", CPendingDeprecationWarning)

    def start(self) -> NoReturn:
        """Run until told to stop, and end the process. Celery's command line has nothing more to do."""
        self.work()
        leave(int(self.exitcode or 0))

    def work(self) -> None:
        """Run until told to stop.

        The engine starts before the consumer takes messages, and stops after the consumer has ended. An embedded server
        starts first and ends last.
        """
        # Celery would take the file only after calls have started.
        pidfile, self.pidfile = self.pidfile, None
        with refused_in_lines(), process_file(pidfile), self._store():
            began = None
            try:
                _tune_interpreter()
                self.engine.start()
                began = time.monotonic()
                tell_start(
                    self.settings,
                    self.accounts.now,
                    places=self.concurrency,
                    webhook_places=self.webhooks,
                )
                super().start()
            finally:
                hurry = _on_further_signals()
                grace_seconds = 0.0 if state.should_terminate is not None else self.settings.grace_seconds
                left = self.engine.stop(grace_seconds, hurry)
                if began is not None:
                    seconds = time.monotonic() - began
                    tell_end(left, seconds, jobs_finished=self.count_finished())

    def _store(self) -> AbstractContextManager[Any]:
        return EmbeddedServer(self.settings.state_dir) if self.settings.embedded else nullcontext()


def _log_file(path: str, hostname: str) -> TextIO:
    """Open the file of `--logfile`, once: rotate it by copying and truncating. Raises ConfigurationError."""
    named = Path(node_format(path, hostname))
    try:
        return named.open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigurationError(f"--logfile: {path}: {error.strerror}") from error


def _tune_interpreter() -> None:
    """Let the garbage collector skip the objects of the start, which stay anyway, and search the others less often."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, *gc.get_threshold()[1:])


def _on_further_signals() -> threading.Event:
    """An event that the next signal to stop sets: a second signal means that the sender does not want to wait."""
    hurry = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: hurry.set())
    return hurry
