"""Celery's worker program, started so that several on one host just work."""

from __future__ import annotations

import os
import socket
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from celery.apps.worker import Worker
from celery.utils.nodenames import default_nodename

from worker import logs
from worker.broker.address import redis_broker
from worker.embedded import EmbeddedServer, EmbeddedServerError
from worker.errors import ConfigurationError
from worker.queues import CALLS
from worker.settings import Settings


class CallWorker(Worker):
    """A worker with a name of its own, without the chatter between workers that this program has no use for."""

    def __init__(self, app: Any = None, hostname: str | None = None, **options: Any) -> None:
        if hostname in (None, default_nodename(None)):
            hostname = f"callworker-{os.getpid()}@{socket.gethostname()}"
        options |= {"without_mingle": True, "without_gossip": True, "without_heartbeat": True}
        try:
            super().__init__(app, hostname, **options)
        except ConfigurationError as problem:
            raise SystemExit(f"callworker: {problem}") from None

    @property
    def settings(self) -> Settings:
        return cast(Settings, self.app.settings)

    def setup_queues(self, include: Any, exclude: Any = None) -> None:
        """As Celery does; but on Redis the engine fetches, and the consumer gets no queue."""
        super().setup_queues(include, exclude)
        if redis_broker(self.settings) is not None:
            self.app.amqp.queues.deselect(CALLS.name)

    def on_init_blueprint(self) -> None:
        logs.configure(self.settings.log_level, self.settings.log_format)
        super().on_init_blueprint()

    def start(self) -> None:
        """Run until told to stop; the embedded server, where there is one, comes first and leaves last."""
        try:
            with self._store():
                super().start()
        except (ConfigurationError, EmbeddedServerError) as problem:
            raise SystemExit(f"callworker: {problem}") from None

    def _store(self) -> AbstractContextManager[Any]:
        return EmbeddedServer(self.settings.state_dir) if self.settings.embedded else nullcontext()
