"""The Celery app of this project, made for given settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from celery import Celery, signals

from worker.broker.address import broker_url
from worker.broker.queues import CALLS, CANCEL_TASK_NAME, TASK_NAME, TASK_QUEUES, of_type
from worker.celery_edge.beat import BeatStep
from worker.celery_edge.command_line import Judge
from worker.celery_edge.plain_intake import PlainIntakeStep
from worker.configuration.values import LogLevel
from worker.settings import Settings
from worker.telemetry import logs

CONFIGURATION: Mapping[str, Any] = {
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
    "broker_heartbeat": 10,
    "broker_transport_options": {
        "socket_keepalive": True,
        "socket_timeout": 30,
        "visibility_timeout": 60,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "confirm_publish": True,
    },
    "task_default_queue": CALLS.name,
    "task_default_exchange": CALLS.exchange.name,
    "task_default_routing_key": CALLS.routing_key,
    "task_routes": {TASK_NAME: {"queue": CALLS.name}, CANCEL_TASK_NAME: {"queue": CALLS.name}},
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_ignore_result": True,
    "task_create_missing_queues": False,
    "worker_consumer": "worker.celery_edge.consumer:CallConsumer",
    "worker_pool": "threads",
    "worker_enable_prefetch_count_reduction": False,
    "worker_enable_remote_control": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
}
"""The part of Celery's configuration that is the same for all settings."""


class CallWorkerApp(Celery):
    """Celery with this project's worker program and consumer."""

    amqp_cls = "worker.celery_edge.consuming:CallAMQP"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__("callworker")

    def log_from(self, level: LogLevel) -> None:
        """Log from this level on, in place of LOG_LEVEL; for a worker that has not begun."""
        self.settings = self.settings.model_copy(update={"log_level": level})

    @cached_property
    def Worker(self) -> type:  # noqa: N802 (Celery's name)
        return cast(type, self.subclass_with_self("worker.celery_edge.program:CallWorker"))


def make_app(settings: Settings) -> CallWorkerApp:
    """Return an app for producers and workers. It is Celery's current app from now on."""
    app = CallWorkerApp(settings)
    app.conf.update(
        CONFIGURATION,
        broker_url=broker_url(settings),
        # Copies: Celery puts those of the default exchange on its own, in place.
        task_queues=of_type(settings.amqp_queue_type, TASK_QUEUES),
        worker_concurrency=settings.concurrency,
    )
    signals.setup_logging.connect(logs.keep_celery_out)
    app.steps["consumer"].add(PlainIntakeStep)
    app.steps["consumer"].add(BeatStep)
    app.user_options["preload"].add(Judge())
    return app
