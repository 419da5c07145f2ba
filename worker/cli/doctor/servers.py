"""Checks Redis and the broker: they answer, are new enough, lose nothing with their settings, and have the queues."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

import redis
from amqp.exceptions import NotFound
from redis.exceptions import ResponseError

from worker import embedded
from worker.broker import rights
from worker.broker.address import broker_url, broker_variable, redis_url, separate_redis_broker
from worker.broker.connection import Link, broker_errors
from worker.broker.declaring import may_make, wrong_type
from worker.broker.queues import CALLS, INTAKE, RESULTS, SHARD_QUEUES
from worker.broker.redis_write_check import RedisWriteCheck
from worker.broker.transports import weakness
from worker.broker.write_check import WriteCheck as WriteCheckOfBroker
from worker.cli.doctor import fleet, layout, nodes, parts, replication, set_back, writes
from worker.cli.doctor.finding import Finding
from worker.errors import BrokerUnavailable, ConfigurationError, StoreFault, StoreUnavailable
from worker.inbound import key_types as broker_keys
from worker.network.remedies import remedy_of
from worker.preflight.greeting import TAKEN, try_rights
from worker.privacy.addresses import mask_url
from worker.privacy.redaction import redactor, register_passwords
from worker.redisio.connection import connect
from worker.redisio.translation import store_errors
from worker.settings import Settings
from worker.state import key_types as store_keys
from worker.state.census import Census
from worker.state.key_types import wrong_types
from worker.state.last_set_back import last_set_back
from worker.state.layout import choose
from worker.state.write_check import WriteCheck

MIN_REDIS = (6, 2)
LIMITS_REDELIVERY = 4
"""The first major version of RabbitMQ with a limit of redeliveries."""
LIMIT_NOTE = (
    "; a quorum queue drops a message after 20 redeliveries unless a policy forbids it: see ops/README.md"
)
EVICTION_REMEDY = (
    "set `maxmemory-policy noeviction` in Redis: otherwise a full Redis may drop jobs and limits"
)
AOF_REMEDY = (
    "set `appendonly yes` in Redis: otherwise a restart loses all jobs accepted since the last snapshot"
)


def store(settings: Settings) -> Iterator[Finding]:
    """Check that Redis can be reached, and its version, eviction and persistence."""
    register_passwords()
    try:
        url = redis_url(settings)
        choose(settings.redis_url, settings.redis_shards)
        yield from _verification("Redis TLS", url, "REDIS_URL")
        with connect(url, replicas=settings.redis_replicas) as client, store_errors():
            yield from parts.check(Census(client))
            client.ping()
            try_rights(client)
            wrong, divided, back = _misused_by(client), layout.look(client), last_set_back(client)
            check, found = WriteCheck(client), fleet.look(client)
            told, servers = check.ask(), layout.each_server(client, check)
    except StoreFault as error:
        yield Finding.fail("Redis", f"refused: {redactor.text(str(error))}", remedy_of(error, "REDIS_URL"))
        return
    except (StoreUnavailable, ConfigurationError, embedded.EmbeddedServerError) as error:
        yield _absent(settings, error)
        return
    yield Finding.ok("Redis", f"answers at {mask_url(redis_url(settings))}")
    yield from divided
    yield from set_back.check(back)
    yield from layout.together(servers, lambda server: writes.check(server.told))
    yield from fleet.check(found, told, time.time())
    yield from _misused("Redis keys", wrong, "it is neither read nor written")
    yield from layout.together(servers, lambda server: _of_server(server, settings.redis_replicas))


def _of_server(server: layout.Server, replicas: int) -> Iterator[Finding]:
    if server.facts is None:
        yield Finding.warn(
            "Redis version", "unknown: INFO is refused", "allow INFO, or check version and settings yourself"
        )
    elif server.facts:
        yield from _fitness(server.facts)
        yield from replication.check(server.facts, replicas)


def _misused_by(client: redis.Redis) -> Mapping[str, tuple[str, str]]:
    """The keys of ours with a wrong type. Empty if this user may not ask for types."""
    try:
        return wrong_types(client, store_keys.expected_types())
    except ResponseError:
        return {}


def _verification(name: str, url: str, variable: str) -> Iterator[Finding]:
    """Yield a warning if an address uses TLS without all of its checks."""
    with suppress(ValueError):
        if weak := weakness(url):
            text = f"{weak}: somebody on the network path can read passwords, PINs and phone numbers"
            yield Finding.warn(
                name, text, f"name the authority by ssl_ca_certs in {variable}, or by SSL_CERT_FILE"
            )


def _absent(settings: Settings, error: Exception) -> Finding:
    if not settings.embedded:
        return Finding.fail("Redis", redactor.text(str(error)), remedy_of(error, "REDIS_URL"))
    try:
        binary = embedded.find_binary()
    except embedded.EmbeddedServerError as missing:
        return Finding.fail("Redis", str(missing), "install one of these, or set REDIS_URL")
    version = ".".join(map(str, binary.version))
    remedy = "start `callworker run`, which starts the embedded server, or set REDIS_URL"
    return Finding.warn(
        "Redis", f"the embedded server is not running; it would use {binary.path}, {version}", remedy
    )


def _fitness(facts: Mapping[str, Any]) -> Iterator[Finding]:
    version = str(facts.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers >= MIN_REDIS:
        yield Finding.ok("Redis version", version)
    else:
        yield Finding.fail("Redis version", version or "unknown", "install version 6.2 or newer")
    policy = facts.get("maxmemory_policy")
    if policy == "noeviction":
        yield Finding.ok("Redis eviction", "noeviction")
    else:
        yield Finding.fail("Redis eviction", f"maxmemory-policy is {policy or 'unknown'}", EVICTION_REMEDY)
    if facts.get("aof_enabled"):
        yield Finding.ok("Redis persistence", "append-only file")
    else:
        yield Finding.warn("Redis persistence", "no append-only file", AOF_REMEDY)


def broker(settings: Settings) -> Iterator[Finding]:
    """Check that the broker can be reached, and its version and queues."""
    register_passwords()
    try:
        url = broker_url(settings)
        yield from _verification("broker TLS", url, broker_variable(settings))
        link = Link(url, [])
    except (BrokerUnavailable, ConfigurationError, embedded.EmbeddedServerError) as error:
        yield _no_broker(settings, error)
        return
    try:
        yield Finding.ok("broker", f"answers at {mask_url(url)}")
        if link.confirms:
            yield broker_version(link.connection.connection.server_properties)
            yield from nodes.check(url)
        yield from _taking(settings, link)
        yield _queues(link)
        if not link.confirms:
            yield from _keys(link)
    finally:
        link.abandon()


def _taking(settings: Settings, link: Link) -> Iterator[Finding]:
    """Report whether the broker takes messages. Of one that is the store too, "Redis writes" tells."""
    if link.confirms:
        with closing(WriteCheckOfBroker(broker_url(settings))) as check:
            problem = check.ask().problem
    elif own := separate_redis_broker(settings):
        with connect(own, variable="BROKER_URL", replicas=settings.redis_replicas) as client:
            problem = RedisWriteCheck(client).ask().problem
    else:
        return
    if problem is None:
        yield Finding.ok("broker messages", "taken")
    else:
        remedy = remedy_of(problem, broker_variable(settings))
        yield Finding.fail("broker messages", redactor.text(str(problem)), remedy)


def broker_version(server: Mapping[str, Any]) -> Finding:
    """Report the version. `server` holds the properties that an AMQP broker sends.

    A client cannot see policies, so the finding only mentions the limit of redeliveries. Source: "Quorum Queues Now
    Have a Default Redelivery Limit" in the release notes of RabbitMQ 4.0.
    """
    product, version = server.get("product", "an unknown broker"), str(server.get("version", ""))
    major = version.partition(".")[0]
    limited = product == "RabbitMQ" and major.isdigit() and int(major) >= LIMITS_REDELIVERY
    return Finding.ok("broker version", f"{product} {version}{LIMIT_NOTE if limited else ''}")


def _no_broker(settings: Settings, error: Exception) -> Finding:
    text = redactor.text(str(error))
    if settings.broker_url is None and settings.embedded:
        return Finding.warn(
            "broker", "the embedded server is not running", "start `callworker run`, or set BROKER_URL"
        )
    variable = broker_variable(settings)
    return Finding.fail("broker", text.replace("BROKER_URL:", f"{variable}:"), remedy_of(error, variable))


def _queues(link: Link) -> Finding:
    wanted = [CALLS, RESULTS, *([INTAKE, *SHARD_QUEUES] if link.confirms else [])]
    try:
        wrong = _wrong_exchanges(link)
        missing = [queue.name for queue in wanted if not _exists(link, queue)]
        forbidden = _forbidden(link, missing)
        if link.confirms and not missing and not wrong:
            rights.try_rights(link.connection, TAKEN, RESULTS)
    except BrokerUnavailable as error:
        return Finding.fail("queues", redactor.text(str(error)), remedy_of(error, "BROKER_URL"))
    if wrong:
        return Finding.fail("queues", "; ".join(wrong), "do that; until then no worker starts")
    if forbidden:
        text = f"missing, and this user may not create them: {', '.join(forbidden)}"
        return Finding.fail("queues", text, "give this user the right to configure, or create them otherwise")
    if missing:
        return Finding.warn(
            "queues", f"not created yet: {', '.join(missing)}", "the first worker that starts creates them"
        )
    return Finding.ok("queues", ", ".join(queue.name for queue in wanted))


def _keys(link: Link) -> Iterator[Finding]:
    """Yield a finding for each key of a Redis broker that has a wrong type."""
    try:
        with (
            broker_errors("the broker does not tell the types of its keys"),
            link.redis_client() as client,
        ):
            wrong = wrong_types(client, broker_keys.expected_types())
    except BrokerUnavailable as error:
        yield Finding.fail("keys", redactor.text(str(error)), "look at the broker's own log")
        return
    yield from _misused("keys", wrong, "it is neither read nor written")


def _misused(check: str, wrong: Mapping[str, tuple[str, str]], meanwhile: str) -> Iterator[Finding]:
    """Yield a finding for each key in `wrong`, which maps it to its type and the expected type."""
    for key, (held, wanted) in wrong.items():
        text = f"{key} is a {held} where a {wanted} is expected; {meanwhile}"
        yield Finding.fail(check, text, f"rename or delete the key {key}; no restart is needed")


def _wrong_exchanges(link: Link) -> list[str]:
    """A text for each exchange that has another type."""
    exchanges = (CALLS.exchange, RESULTS.exchange) if link.confirms else ()
    with broker_errors("the broker does not tell its exchanges"):
        return [told for exchange in exchanges if (told := wrong_type(link.connection, exchange))]


def _forbidden(link: Link, missing: list[str]) -> list[str]:
    """The `missing` queues that a worker with this user may not create."""
    if not link.confirms:
        return []
    with broker_errors("the broker does not tell the rights of this user"):
        return [name for name in missing if not may_make(link.connection, name)]


def _exists(link: Link, queue: Any) -> bool:
    """Tell whether a queue exists.

    On AMQP the broker knows. On Redis an empty queue leaves no trace except the binding of its exchange, and workers
    need only the binding of `results`, so no other queue can be missing.
    """
    with broker_errors("the broker does not tell its queues"):
        if not link.confirms:
            bound = link.bindings()
            return queue is not RESULTS or any(row[-1] == queue.name for row in bound(queue.exchange.name))
        with link.connection.channel() as channel:
            try:
                channel.queue_declare(queue.name, passive=True)
            except NotFound:
                return False
        return True
