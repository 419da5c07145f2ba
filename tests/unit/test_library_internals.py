"""The table of what is used of other libraries beyond their documented promises.

An upgrade that takes one of these away fails here first, and says what it is needed for. Before an upper bound in
pyproject.toml is raised: see that these tests pass, and read what the library changed in the rest of the table.
"""

from __future__ import annotations

import ast
import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import pytest
from kombu import Connection
from kombu.transport.redis import Channel
from redis import Redis
from redis.exceptions import ResponseError

from worker.broker.connection import broker_errors
from worker.errors import BrokerUnavailable
from worker.inbound.redis_lists import PRIORITY_SUFFIXES
from worker.redisio.wrong_keys import wrong_key

ROOT = Path(__file__).parents[2]


class Use(NamedTuple):
    """`names` of a class, a function or a module, `of`; `files` need them, to do what `need` says.

    Files are named from worker/ on, or as `callworker/…` if the client has them.
    """

    library: str
    of: str
    names: str
    files: str
    need: str


USES = (
    Use("amqp", "amqp.transport.TCPTransport", "sock _quick_recv _write", "broker/amqp_wire.py",
        "to read ahead, and to set a timeout only when it is needed"),
    Use("amqp", "amqp.transport.TCPTransport", "write", "broker/amqp_wire.py",
        "to write all frames of a batch at once; it is to call `_write`"),
    Use("amqp", "amqp.connection.Connection", "on_inbound_frame on_inbound_method bytes_recv transport",
        "broker/amqp_wire.py broker/amqp_frames.py", "to take messages from frames without decoding them"),
    Use("amqp", "amqp.connection.Connection", "negotiate_capabilities", "broker/transports.py callworker/amqp.py",
        "to keep `basic_publish` from reading the socket before each message"),
    Use("amqp", "amqp.connection.Connection", "server_properties", "broker/rights.py cli/doctor/servers.py",
        "to ask only RabbitMQ about rights, and to tell the broker's version"),
    Use("amqp", "amqp.connection.Connection", "sock",
        "broker/connection.py celery_edge/beat.py callworker/amqp.py",
        "to bound every wait for an answer, and to cut a connection that is stuck"),
    Use("amqp", "amqp.connection.Connection", "Transport", "broker/transports.py callworker/amqp.py",
        "to make connections over TLS with a context of ours"),
    Use("amqp", "amqp.transport.SSLTransport", "_wrap_socket", "callworker/amqp_tls.py",
        "to verify the broker's certificate and its name each as the address says"),
    Use("amqp", "amqp.connection.Connection", "connected collect transport", "callworker/amqp.py",
        "to drop a connection without a word to the broker, also one that another process uses"),
    Use("amqp", "amqp.Message", "properties", "broker/amqp_frames.py",
        "to hand on a message whose properties are not decoded"),
    Use("amqp", "amqp.spec.Basic", "Deliver GetOk Return", "broker/amqp_frames.py",
        "to tell which methods bring a message"),
    Use("amqp", "amqp.channel.Channel", "events", "callworker/confirms.py",
        "to hear which messages the broker confirms, refuses or returns"),
    Use("kombu", "kombu.Connection", "switch _init_params _initial_params _closed declared_entities",
        "broker/transports.py", "to go on to the next of several addresses, each read as redis-py would read it"),
    Use("kombu", "kombu.Connection", "as_uri transport_cls ssl transport", "broker/transports.py",
        "to name the broker in the log without user and password"),
    Use("kombu", "kombu.Connection", "collect alt", "broker/connection.py",
        "to drop a connection without a word to the broker, and to try each address once"),
    Use("kombu", "kombu.transport.redis.Channel", "_connparams connection_class_ssl", "broker/transports.py",
        "to connect to Redis with the arguments that all other clients have"),
    Use("kombu", "kombu.transport.redis.Channel", "socket_timeout socket_connect_timeout keyprefix_queue sep",
        "broker/transports.py", "to read the bindings of an exchange past members that are none"),
    Use("kombu", "kombu.transport.redis.Channel", "conn_or_acquire",
        "broker/connection.py broker/redis_outbound.py broker/transports.py",
        "to speak to the Redis of a channel directly"),
    Use("kombu", "kombu.transport.redis.Channel", "client", "broker/connection.py",
        "to ask whether a batch is written"),
    Use("kombu", "kombu.transport.redis.Channel", "get_table typeof",
        "broker/connection.py broker/redis_outbound.py", "to know where messages go"),
    Use("kombu", "kombu.transport.virtual.exchange.ExchangeType", "lookup", "broker/redis_outbound.py",
        "to know where messages go"),
    Use("kombu", "kombu.transport.virtual.Channel", "prepare_message _inplace_augment_message",
        "broker/redis_outbound.py", "to write messages in kombu's own form (held by test_redis_outbound.py)"),
    Use("kombu", "kombu.transport.virtual.Channel", "message_to_python", "delivery/reader.py",
        "to look at results without taking them"),
    Use("kombu", "kombu.transport.redis.Channel", "_q_for_pri", "inbound/redis_lists.py",
        "to name the lists of a queue"),
    Use("kombu", "kombu.transport.pyamqp.Transport", "Connection driver_type register_with_event_loop",
        "broker/transports.py celery_edge/consumer.py", "to put connections of ours into Celery's event loop"),
    Use("celery", "celery.worker.consumer.Consumer",
        "call_soon connect create_task_handler on_connection_error_after_connected register_with_event_loop",
        "celery_edge/consumer.py", "to hand messages to the intake instead of a pool"),
    Use("celery", "celery.worker.consumer.Consumer",
        "amqheartbeat channel_errors connection_errors controller hub initial_prefetch_count timer",
        "celery_edge/consumer.py celery_edge/beat.py", "to hand messages to the intake instead of a pool"),
    Use("celery", "celery.worker.consumer.Consumer.Blueprint", "default_steps", "celery_edge/consumer.py",
        "to leave out gossip, remote control and delayed delivery"),
    Use("celery", "celery.worker.consumer.tasks.Tasks", "qos_global", "celery_edge/consuming.py",
        "to count the prefetch per consumer, as quorum queues want it"),
    Use("celery", "celery.app.amqp.AMQP", "Connection TaskConsumer queues",
        "celery_edge/consuming.py celery_edge/program.py",
        "to make connections as all others are made"),
    Use("celery", "celery.app.amqp.Queues", "deselect", "celery_edge/program.py",
        "to leave the queues of a Redis broker to the engine"),
    Use("celery", "celery.Celery", "subclass_with_self amqp_cls", "celery_edge/application.py",
        "to start this project's worker program and consumer"),
    Use("celery", "celery.apps.worker", "safe_say", "celery_edge/signals.py",
        "to say in the log, not on a pipe that may be full, that a signal came"),
    Use("celery", "celery.apps.worker.Worker", "install_platform_tweaks on_init_blueprint setup_queues pidfile",
        "celery_edge/program.py", "to start the engine before the consumer and stop it after"),
    Use("celery", "celery.worker.state", "maybe_shutdown should_stop should_terminate",
        "celery_edge/consumer.py celery_edge/program.py cli/run.py", "to know how the worker was told to stop"),
    Use("celery", "celery.worker.WorkController", "exitcode", "cli/run.py", "to end as Celery's worker ended"),
    Use("celery", "celery.bin.base.CLIContext", "app", "celery_edge/command_line.py",
        "to give the settings the log level of the command line"),
    Use("celery", "celery.platforms.Pidfile", "read_pid remove_if_stale", "celery_edge/process_file.py",
        "to take over the file of a process that ended, and no other"),
    Use("redis", "redis.connection.Connection", "on_connect_check_health send_packed_command read_response",
        "redisio/primary.py redisio/runner.py redisio/bell.py",
        "to send many scripts in one write, and to leave a server that is no longer the primary"),
    Use("redis", "redis.connection.Connection", "can_read send_command", "redisio/bell.py",
        "to hear of messages without asking for them"),
    Use("redis", "redis.connection.Connection", "_connect _sock host port on_connect socket_timeout",
        "callworker/masters.py redisio/sentinel.py",
        "to connect to the master that Sentinels name, and to end connections to one that they named before"),
    Use("redis", "redis.asyncio.connection.Connection", "_connect is_connected host port on_connect socket_timeout",
        "callworker/aio/masters.py", "to connect to the master that Sentinels name"),
    Use("redis", "redis.connection.ConnectionPool", "get_connection release",
        "redisio/runner.py redisio/bell.py", "to send many scripts in one write"),
    Use("redis", "redis.connection", "parse_url", "callworker/redis_address.py",
        "to read addresses as redis-py does"),
    Use("requests", "requests.adapters.HTTPAdapter", "init_poolmanager poolmanager", "http/client.py",
        "to send requests over pools of ours"),
    Use("requests", "requests.utils", "DEFAULT_CA_BUNDLE_PATH", "network/trust.py",
        "to trust the certificates that requests trusts"),
    Use("urllib3", "urllib3.HTTPConnectionPool", "_get_conn _put_conn ConnectionCls QueueCls", "http/client.py",
        "to have a pool keep connections that know their phase"),
    Use("urllib3", "urllib3.PoolManager", "connection_from_url pool_classes_by_scheme", "http/client.py",
        "to have a pool keep connections that know their phase"),
    Use("urllib3", "urllib3.connection.HTTPConnection", "is_connected socket_options sock", "http/connection.py",
        "to be kept by a pool of urllib3, which asks before each reuse whether it is connected"),
    Use("urllib3", "urllib3.connection.HTTPSConnection", "ssl_context host", "http/connection.py",
        "to shake hands within the deadline"),
    Use("urllib3", "urllib3.util.connection", "allowed_gai_family", "http/addresses.py",
        "to ask for addresses of IPv6 only where the machine has it"),
    Use("gevent", "gevent.hub.Hub", "NOT_ERROR", "http/waiting.py", "to end a command at Ctrl-C without a traceback"),
    Use("gevent", "gevent.hub.Hub", "loop print_exception", "engine/greenlets.py",
        "to wake the dial thread from others, and to log what fails there"),
    Use("structlog", "structlog.stdlib.ProcessorFormatter.format", "'_record'", "telemetry/logs.py",
        "to give a line of a library the time at which it was written"),
    Use("python", "logging.Manager", "loggerDict", "telemetry/logs.py",
        "to take off the handlers that libraries put on their loggers"),
    Use("python", "queue.LifoQueue", "queue maxsize", "http/client.py",
        "to keep connections without a lock"),
)  # fmt: skip

CLIENT = ROOT / "clients/python/src"
SOURCES = {str(path.relative_to(ROOT / "worker")): path for path in (ROOT / "worker").rglob("*.py")} | {
    str(path.relative_to(CLIENT)): path for path in CLIENT.rglob("*.py")
}

CASES = [(use, name) for use in USES for name in use.names.split()]

DOCUMENTED = {"_asdict", "_current_frames", "_exit", "_fields", "_make", "_replace"}
"""Names that begin with an underscore and are in Python's documentation all the same."""


def found(path: str) -> Any:
    """The module, class or function of that dotted path."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for name in parts[length:]:
            value = getattr(value, name)
        return value
    raise ModuleNotFoundError(path)


def words(code: CodeType) -> Iterator[str]:
    """The names that a function uses, and its texts as literals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from words(constant)
        elif isinstance(constant, str):
            yield repr(constant)


def speaks_of(owner: Any, name: str) -> bool:
    """Return whether a function, or a method of a class, uses the name: methods set attributes of instances."""
    kinds = owner.__mro__ if isinstance(owner, type) else ()
    members = [owner, *(member for kind in kinds for member in vars(kind).values())]
    functions = (getattr(member, "fget", member) for member in members)
    return any(name in words(each.__code__) for each in functions if isinstance(each, FunctionType))


@pytest.mark.parametrize(("use", "name"), CASES, ids=[f"{use.of}.{name}" for use, name in CASES])
def test_library_still_has_what_is_used_of_it(use: Use, name: str) -> None:
    """The message says which file needs it, and what for."""
    try:
        owner = found(use.of)
        there = hasattr(owner, name) or speaks_of(owner, name)
    except (AttributeError, ModuleNotFoundError):
        there = False
    assert there, f"{use.library} has no {use.of}.{name}: {use.files} needs it {use.need}"


@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.of} in {use.files}")
def test_file_that_needs_it_uses_it(use: Use) -> None:
    """Each name in the table is used in a file that the table gives for it."""
    files = [SOURCES[file].read_text(encoding="utf-8") for file in use.files.split()]
    unused = [name for name in use.names.split() if not any(name.strip("'") in text for text in files)]
    assert unused == []


@pytest.mark.parametrize("library", sorted({use.library for use in USES} - {"python"}))
def test_version_has_an_upper_bound(library: str) -> None:
    """An upper bound makes upgrades that could remove an internal deliberate. CI has the versions of Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = (each for each in project["dependencies"] if _name(each) == library)
    assert "<" in wanted


def _name(requirement: str) -> str:
    return requirement.partition(">")[0].partition("[")[0]


def own_names(tree: ast.AST) -> set[str]:
    """All that a file defines or sets itself."""
    return (
        {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_set(node)}
        | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and _is_set(node)}
    )


def _is_set(node: ast.Attribute | ast.Name) -> bool:
    """`self._x = …`, or a name in the body of a class or a module."""
    of_self = isinstance(node, ast.Name) or (isinstance(node.value, ast.Name) and node.value.id == "self")
    return of_self and isinstance(node.ctx, ast.Store)


def private_names(tree: ast.AST) -> Iterator[str]:
    """The private names that a file takes from elsewhere, `super()` included."""
    own = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            of_super = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()"
            if of_super or node.attr not in own:
                yield node.attr


@pytest.mark.parametrize("file", sorted(SOURCES))
def test_private_names_are_in_the_table(file: str) -> None:
    """No file reaches into a library, or into another file, without its place here; one file for each name."""
    path = SOURCES[file]
    known = {name for use in USES if use.files.split()[0] == file for name in use.names.split()}
    private = set(private_names(ast.parse(path.read_text(encoding="utf-8"))))
    if path.parent.name == "testing":
        # The fake client is mixed with a class of the file beside it.
        private -= set().union(*(own_names(ast.parse(each.read_text())) for each in path.parent.glob("*.py")))
    assert private - DOCUMENTED <= known


def test_kombu_keeps_a_queue_in_one_list_for_each_step_of_priority() -> None:
    """Jobs would wait for ever in a list that nobody looks into."""
    with Connection("redis://") as connection:
        channel: Any = object.__new__(Channel)
        channel.connection = connection
        lists = {channel._q_for_pri("calls", priority) for priority in range(10)}
    assert lists == {f"calls{suffix}" for suffix in PRIORITY_SUFFIXES}


def test_redis_py_quotes_the_command_of_a_pipeline_as_it_is_cut_out() -> None:
    """A command holds a part of the message: it must not get into an error; and the key is read from it."""
    error: Exception = ResponseError("WRONGTYPE Operation against a key")
    pipeline: Any = Redis().pipeline(transaction=False)
    with pipeline:
        pipeline.annotate_exception(error, 3, ("LPUSH", "calls", "a message"))
    found_key = wrong_key(error)
    assert found_key is not None and found_key.key == "calls"
    with pytest.raises(BrokerUnavailable) as raised, broker_errors("the broker did not take a message"):
        raise error
    assert "a message" not in str(raised.value).removeprefix("the broker did not take a message")
