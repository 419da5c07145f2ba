"""A worker's ways in, in a process of its own: each example is taken as a worker takes it, and measured.

Reads pickled `(way, content)` from standard input, each after its length, and answers likewise with the fields of a
`Bill`.
"""

from __future__ import annotations

import os
import pickle
import resource
import struct
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from struct import pack
from types import SimpleNamespace
from typing import IO, Any

import click
import kombu.transport.pyamqp
import redis
from amqp import spec
from amqp.serialization import dumps

from worker.broker.amqp_frames import Frames
from worker.celery_edge.consumer import received_entry
from worker.cli.jobfile import read_sheet
from worker.core.judging import MAX_MESSAGE_BYTES
from worker.core.records import Source
from worker.inbound.messages import read_plain, read_task
from worker.inbound.stream import STREAM
from worker.settings import Settings
from worker.state.dead_letters import MAX_CONTENT_BYTES
from worker.telemetry import logs
from worker.wiring import Wiring

LIMIT_SECONDS = 0.05
TRIES = 3
"""A machine that is busy with something else makes nothing cheaper: the cheapest of these counts."""
MAX_MEMORY = 2**31


@dataclass(frozen=True)
class Bill:
    """The cost of an example. `problem` says what went wrong; it is empty if nothing did."""

    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    problem: str = ""


class Ways:
    """All ways in to one intake, which puts on record and buries in a real Redis. Nothing is dialled."""

    def __init__(self) -> None:
        settings = Settings.from_env()
        wiring = Wiring(settings, calls=4)
        self._intake, self._redis = wiring.intake, redis.Redis.from_url(str(settings.redis_url))
        self._sources: Mapping[str, Any] = dict(wiring.sources)
        for source in self._sources.values():
            source._listening.listen = lambda **_: True
        wiring.dialler.pause(True)
        self._folder = Path(tempfile.mkdtemp())

    def bill(self, way: str, content: Any) -> Bill:
        """Take an example. Whatever is raised is a problem."""
        prepare, take = getattr(self, f"_put_{way}"), getattr(self, f"_take_{way}")
        try:
            seconds = min(self._seconds(prepare, take, content))
            tracemalloc.start()
            prepare(content)
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            take(content)
            _, peak = tracemalloc.get_traced_memory()
            self._check_letters()
            return Bill(seconds, peak - before)
        except Exception as error:  # reported to the process that made the example
            return Bill(problem=f"{type(error).__name__}: {error}"[:2000])
        finally:
            tracemalloc.stop()

    def _seconds(
        self, prepare: Callable[[Any], None], take: Callable[[Any], None], content: Any
    ) -> list[float]:
        measured: list[float] = []
        while len(measured) < TRIES and not (measured and measured[-1] < LIMIT_SECONDS):
            prepare(content)
            begun = time.process_time()
            take(content)
            measured.append(time.process_time() - begun)
        return measured

    def _check_letters(self) -> None:
        letters: Any = self._redis.lrange("callworker:dead", 0, -1)
        assert all(len(letter) < MAX_CONTENT_BYTES + 2048 for letter in letters), "a dead letter is too large"
        self._redis.delete("callworker:dead", "callworker:dead_bytes")

    def _put_list(self, content: tuple[str, bytes]) -> None:
        self._redis.lpush(*content)

    def _take_list(self, content: tuple[str, bytes]) -> None:
        self._turn("queue")
        left = self._redis.exists("calls.unacked", "calls.unacked_index", "calls.restored", content[0])
        assert not left, "the message is still there"

    def _put_stream(self, content: list[tuple[bytes, bytes]]) -> None:
        words = [part for field in content for part in field]
        self._redis.execute_command("XADD", STREAM, "*", *words)  # type: ignore[no-untyped-call]

    def _take_stream(self, _: Any) -> None:
        self._turn("stream")
        assert self._redis.xlen(STREAM) == 0, "the entry is still there"

    def _turn(self, name: str) -> None:
        """Take, put on record, acknowledge; twice, for what is too large comes by itself."""
        source = self._sources[name]
        source.turn()
        self._intake.turn()
        source.turn()

    def _put_tasks(self, _: Any) -> None:
        """It comes over a connection."""

    _put_plain = _put_file = _put_tasks

    def _take_tasks(self, content: tuple[bytes, bytes]) -> None:
        self._deliver(content, read_task, Source.CELERY)

    def _take_plain(self, content: tuple[bytes, bytes]) -> None:
        self._deliver(content, read_plain, Source.QUEUE)

    def _deliver(self, content: tuple[bytes, bytes], read: Any, source: Source) -> None:
        done: list[bool] = []
        (message,) = _from_frames(*content)
        self._intake.put(received_entry(message, read, source, lambda: done.append(True)))
        self._intake.turn()
        assert done == [True], "the message is not acknowledged once"

    def _take_file(self, content: tuple[str, bytes]) -> None:
        file = self._folder / f"jobs.{content[0]}"
        file.write_bytes(content[1])
        try:
            read_sheet(str(file), content[0], {}, extended=False)  # type: ignore[arg-type]
        except click.ClickException:
            return


def _from_frames(properties: bytes, body: bytes) -> list[Any]:
    """The message that kombu makes of what the frames of a connection brought."""
    messages: list[Any] = []

    def dispatch(_channel: int, _method: tuple[int, int], _arguments: bytes, content: Any) -> None:
        content.delivery_info = {"delivery_tag": 1, "redelivered": False}
        messages.append(kombu.transport.pyamqp.Message(content))

    frames = Frames(SimpleNamespace(bytes_recv=0), dispatch, MAX_MESSAGE_BYTES)
    arguments = dumps("sLbss", ["tag", 1, False, "calls", "calls"])
    frames((1, 1, pack(">HH", *spec.Basic.Deliver) + arguments))
    frames((2, 1, pack(">HHQ", 60, 0, len(body)) + properties))
    for start in range(0, len(body), 131_064):
        frames((3, 1, body[start : start + 131_064]))
    return messages


def read(stream: IO[bytes]) -> Any:
    """One pickled value; None at the end."""
    head = stream.read(4)
    return pickle.loads(stream.read(*struct.unpack(">I", head))) if len(head) == 4 else None


def write(stream: IO[bytes], value: object) -> None:
    text = pickle.dumps(value)
    stream.write(struct.pack(">I", len(text)) + text)
    stream.flush()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    logs.configure("INFO", "json")
    ways = Ways()
    while (example := read(sys.stdin.buffer)) is not None:
        write(answers, astuple(ways.bill(*example)))


if __name__ == "__main__":
    main()
