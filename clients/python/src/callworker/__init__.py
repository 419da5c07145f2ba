"""Sends call-verification jobs to callworker, and reads what became of them, in any Python service.

client         sends jobs over one connection, and listens to events
aio/           the same for asyncio
job            a job, and the checks of its fields
events         what became of jobs
webhooks       verifies the requests that bring events
reading/       reads events from a broker
testing/       for tests of programs that use the client
errors         what callers may have to catch
message        the messages that workers read
link           a connection that is made when it is needed
redis          one connection to Redis
amqp           one connection to RabbitMQ
confirms       what RabbitMQ has taken
redis_lists    messages as kombu keeps them in Redis
replicas       whether replicas of a Redis have what was written
address        finds the way to a broker from its address
redis_address  reads addresses of Redis
sentinels      which server Redis Sentinel calls the master
masters        connections to that master
amqp_address   reads addresses of RabbitMQ
tls            TLS to both
amqp_tls       py-amqp's transport over TLS
"""

from typing import TYPE_CHECKING, Any

from callworker.client import Client
from callworker.errors import (
    BrokerRefused,
    BrokerUnavailable,
    CallworkerError,
    ConfigurationError,
    InvalidEvent,
    InvalidJob,
    InvalidSignature,
)
from callworker.events import CallData, Error, Event
from callworker.job import Job, JobLike

if TYPE_CHECKING:
    from callworker.aio.client import AsyncClient

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Import what asyncio needs only for programs that use it."""
    if name != "AsyncClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from callworker.aio.client import AsyncClient  # noqa: PLC0415

    return AsyncClient


__all__ = [
    "AsyncClient",
    "BrokerRefused",
    "BrokerUnavailable",
    "CallData",
    "CallworkerError",
    "Client",
    "ConfigurationError",
    "Error",
    "Event",
    "InvalidEvent",
    "InvalidJob",
    "InvalidSignature",
    "Job",
    "JobLike",
    "__version__",
]
