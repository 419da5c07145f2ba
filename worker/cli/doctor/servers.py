"""Redis and the broker: there, new enough, set so that nothing is lost, and with the queues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import redis
from amqp.exceptions import NotFound
from redis.exceptions import ResponseError

from worker import embedded
from worker.broker import rights
from worker.broker.address import broker_url, broker_variable
from worker.broker.connection import Link, broker_errors
from worker.broker.declaring import may_make, wrong_type
from worker.broker.queues import CALLS, INTAKE, RESULTS, SHARD_QUEUES
from worker.broker.transports import weakness
from worker.cli import places
from worker.cli.doctor.finding import Finding
from worker.cli.doctor.remedies import remedy_of
from worker.errors import BrokerUnavailable, ConfigurationError, StoreFault, StoreUnavailable
from worker.inbound import key_types as broker_keys
from worker.preflight.greeting import TAKEN, try_rights
from worker.privacy.addresses import mask_url
from worker.privacy.redaction import redactor, register_passwords
from worker.redisio.connection import connect
from worker.redisio.runner import store_errors
from worker.settings import Settings
from worker.state import key_types as store_keys
from worker.state.key_types import wrong_types

OLDEST = (6, 2)
LIMITS_REDELIVERY = 4
LIMIT_NOTE = (
    "; a quorum queue drops what was redelivered 20 times unless a policy forbids it: see ops/README.md"
)
EVICTION_MEND = (
    "set `maxmemory-policy noeviction` in Redis: it may drop jobs and limits when its memory is full"
)
AOF_MEND = (
    "set `appendonly yes` in Redis: without it a restart loses what was accepted since the last snapshot"
)


def store(settings: Settings) -> Iterator[Finding]:
    """Reachable, version, eviction, persistence."""
    register_passwords()
    try:
        url = places.redis_url(settings)
        yield from _verification("Redis TLS", url, "REDIS_URL")
        with connect(url) as client, store_errors():
            client.ping()
            try_rights(client)
            facts, wrong = _facts(client), _misused_by(client)
    except StoreFault as error:
        yield Finding.fail("Redis", f"refuses: {redactor.text(str(error))}", remedy_of(error, "REDIS_URL"))
        return
    except (StoreUnavailable, ConfigurationError, embedded.EmbeddedServerError) as error:
        yield _absent(settings, error)
        return
    yield Finding.ok("Redis", f"answers at {mask_url(places.redis_url(settings))}")
    yield from _misused("Redis keys", wrong, "what stands in it is neither read nor added to")
    if facts is None:
        yield Finding.warn(
            "Redis version", "not told: INFO is refused", "allow INFO, or look at version and settings"
        )
    else:
        yield from _fitness(facts)


def _facts(client: redis.Redis) -> dict[str, Any] | None:
    """What the server says of itself; None where it does not say."""
    try:
        facts: Any = client.info("everything")
    except ResponseError:
        return None
    return dict(facts)


def _misused_by(client: redis.Redis) -> Mapping[str, tuple[str, str]]:
    """Keys of ours that hold something else; none where the server does not say what a key holds."""
    try:
        return wrong_types(client, store_keys.expected_types())
    except ResponseError:
        return {}


def _verification(name: str, url: str, variable: str) -> Iterator[Finding]:
    """A warning where an address has TLS and leaves out a part of what makes it safe."""
    with suppress(ValueError):
        if weak := weakness(url):
            text = f"{weak}: whoever stands between can read passwords, PINs and numbers"
            yield Finding.warn(
                name, text, f"give the authority as ssl_ca_certs in {variable}, or as SSL_CERT_FILE"
            )


def _absent(settings: Settings, problem: Exception) -> Finding:
    if not settings.embedded:
        return Finding.fail("Redis", redactor.text(str(problem)), remedy_of(problem, "REDIS_URL"))
    try:
        binary = embedded.find_binary()
    except embedded.EmbeddedServerError as error:
        return Finding.fail("Redis", str(error), "install one of these, or set REDIS_URL")
    version = ".".join(map(str, binary.version))
    remedy = "start `callworker run`, which starts the embedded server, or set REDIS_URL"
    return Finding.warn(
        "Redis", f"the embedded server does not run; there is {binary.path}, {version}", remedy
    )


def _fitness(facts: dict[str, Any]) -> Iterator[Finding]:
    version = str(facts.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers >= OLDEST:
        yield Finding.ok("Redis version", version)
    else:
        yield Finding.fail("Redis version", version or "not told", "install version 6.2 or newer")
    policy = facts.get("maxmemory_policy")
    if policy == "noeviction":
        yield Finding.ok("Redis eviction", "noeviction")
    else:
        yield Finding.fail("Redis eviction", f"maxmemory-policy is {policy or 'not told'}", EVICTION_MEND)
    if facts.get("aof_enabled"):
        yield Finding.ok("Redis persistence", "append-only file")
    else:
        yield Finding.warn("Redis persistence", "no append-only file", AOF_MEND)


def broker(settings: Settings) -> Iterator[Finding]:
    """Reachable, version, queues made."""
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
        yield _queues(link)
        if not link.confirms:
            yield from _keys(link)
    finally:
        link.abandon()


def broker_version(server: Mapping[str, Any]) -> Finding:
    """`server`: what an AMQP broker says of itself. No policy can be seen from here, so that it is only spoken of.

    Source: "Quorum Queues Now Have a Default Redelivery Limit" in the release notes of RabbitMQ 4.0.
    """
    product, version = server.get("product", "a broker of unknown make"), str(server.get("version", ""))
    major = version.partition(".")[0]
    limited = product == "RabbitMQ" and major.isdigit() and int(major) >= LIMITS_REDELIVERY
    return Finding.ok("broker version", f"{product} {version}{LIMIT_NOTE if limited else ''}")


def _no_broker(settings: Settings, problem: Exception) -> Finding:
    text = redactor.text(str(problem))
    if settings.broker_url is None and settings.embedded:
        return Finding.warn(
            "broker", "the embedded server does not run", "start `callworker run`, or set BROKER_URL"
        )
    variable = broker_variable(settings)
    return Finding.fail("broker", text.replace("BROKER_URL:", f"{variable}:"), remedy_of(problem, variable))


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
        return Finding.fail("queues", "; ".join(wrong), "as it says; meanwhile no worker starts")
    if forbidden:
        text = f"not there, and this user may not configure them: {', '.join(forbidden)}"
        return Finding.fail("queues", text, "give this user that right, or make them with another user")
    if missing:
        return Finding.warn(
            "queues", f"not there yet: {', '.join(missing)}", "the first worker that starts makes them"
        )
    return Finding.ok("queues", ", ".join(queue.name for queue in wanted))


def _keys(link: Link) -> Iterator[Finding]:
    """Keys of a Redis broker that hold something else than they should."""
    try:
        with (
            broker_errors("the broker does not tell what its keys hold"),
            link.channel.conn_or_acquire() as client,
        ):
            wrong = wrong_types(client, broker_keys.expected_types())
    except BrokerUnavailable as error:
        yield Finding.fail("keys", redactor.text(str(error)), "look at the broker's own log")
        return
    yield from _misused("keys", wrong, "nothing is taken from it or put into it")


def _misused(check: str, wrong: Mapping[str, tuple[str, str]], meanwhile: str) -> Iterator[Finding]:
    """`wrong`: by their keys, what they hold and what they should."""
    for key, (held, wanted) in wrong.items():
        text = f"{key} is a {held} where a {wanted} is expected; {meanwhile}"
        yield Finding.fail(check, text, f"rename or delete the key {key}; it is used again at once")


def _wrong_exchanges(link: Link) -> list[str]:
    """Exchanges of another type, in words."""
    exchanges = (CALLS.exchange, RESULTS.exchange) if link.confirms else ()
    with broker_errors("the broker does not tell its exchanges"):
        return [told for exchange in exchanges if (told := wrong_type(link.connection, exchange))]


def _forbidden(link: Link, missing: list[str]) -> list[str]:
    """Those of the `missing` queues that no worker of this user could make."""
    if not link.confirms:
        return []
    with broker_errors("the broker does not tell rights"):
        return [name for name in missing if not may_make(link.connection, name)]


def _exists(link: Link, queue: Any) -> bool:
    """On AMQP the broker tells. On Redis an empty queue leaves no trace but the binding of its exchange, and workers
    need that of `results` alone: no other queue can be missing."""
    with broker_errors("the broker does not tell its queues"):
        if not link.confirms:
            return queue is not RESULTS or any(
                row[-1] == queue.name for row in link.channel.get_table(queue.exchange.name)
            )
        with link.connection.channel() as channel:
            try:
                channel.queue_declare(queue.name, passive=True)
            except NotFound:
                return False
        return True
