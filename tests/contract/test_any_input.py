"""Any input by every way in: it ends on record or as a dead letter, within 50 ms of CPU and 2 MB of memory.

The worker's side runs in a child process (`input_child.py`), which is killed where an example takes far too long.
CALLWORKER_TEST_DEPTH says how many times as many examples are tried.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings

from tests.contract.input_child import LIMIT_SECONDS, Bill, read, write
from tests.contract.inputs import (
    BOMB,
    DEEP,
    DELIVERIES,
    FIELDS,
    FILES,
    HEADERS,
    KEYS,
    NAMES,
    PLAIN,
    REPEATS,
    TASKS,
    WIDE,
    envelopes,
)
from tests.depth import examples

PROJECT = Path(__file__).parents[2]
MAX_PEAK_BYTES = 2 * 1024 * 1024
PATIENCE_SECONDS = 60.0
ACCOUNTS = '[accounts.acme]\napi_key_env = "ACME_KEY"\nrate = "1000/s"\n'


class Child:
    """The worker's side; started when it is first needed, and again after it was killed."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        (folder / "accounts.toml").write_text(ACCOUNTS)
        self._folder = folder
        self._environ = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "REDIS_URL": redis_url,
            "ACCOUNTS_FILE": str(folder / "accounts.toml"),
            "ACME_KEY": "0123456789abcdef0123456789abcdef",
            "PROXSTOP_URL": "http://127.0.0.1:9",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def bill(self, way: str, content: Any) -> Bill:
        process = self._process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        write(process.stdin, (way, content))
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
        answer = read(process.stdout) if ready else None
        if answer is None:
            self.close()
            return Bill(problem="it never ended" if not ready else "it ended the process")
        return Bill(*answer)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                stream.close()

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._folder / "child.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.contract.input_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=PROJECT,
                env=self._environ,
            )


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Child]:
    """A worker whose Redis is empty at first, and not emptied under it: it would leave a state alone that went back."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    made = Child(tmp_path_factory.mktemp("input"), redis_server)
    yield made
    made.close()


def fits(bill: Bill, times: int = 1) -> None:
    assert not bill.problem, bill.problem
    assert bill.cpu_seconds < LIMIT_SECONDS * times, f"{bill.cpu_seconds * 1000:.0f} ms of CPU"
    assert bill.peak_bytes < MAX_PEAK_BYTES * times, f"{bill.peak_bytes:,} bytes of memory"


many = settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
    ],
)


@many
@given(KEYS, envelopes() | PLAIN)
@example("calls", BOMB)
@example("calls", DEEP)
@example("calls", HEADERS)
@example("calls.7", b'{"body": "' + b"y" * 9_000_000)
def test_any_message_of_a_list(child: Child, key: str, raw: bytes) -> None:
    """On Redis any message leaves the list, no matter who put it there, and nothing of it stays filed (E1, E6)."""
    fits(child.bill("list", (key, raw)))


@many
@given(FIELDS)
@example([(b"job", BOMB)])
@example([(b"job", WIDE)])
@example([(b"job", NAMES)])
@example([(b"job", REPEATS)])
@example([(b"job", b"y" * 9_000_000), (b"x", DEEP)])
def test_any_entry_of_the_stream(child: Child, fields: list[tuple[bytes, bytes]]) -> None:
    """An entry with any fields leaves the stream (E1, E6)."""
    fits(child.bill("stream", fields))


@many
@given(DELIVERIES, TASKS)
@example(b"\xa0\x00\x10application/json\x00\x00\x00\x00", BOMB)
@example(b"\x00\x40" + pack(">Q", 2**60), DEEP)
@example(b"", b"y" * 9_000_000)
def test_any_message_of_a_task_queue_on_amqp(child: Child, properties: bytes, body: bytes) -> None:
    """A message with any properties is acknowledged once (E1, E2, E6)."""
    fits(child.bill("tasks", (properties, body)))


@many
@given(DELIVERIES, PLAIN)
@example(b"\x00\x00", WIDE)
@example(b"\x00\x00", b'{"id": "a", "account": "acme", "x": "' + BOMB[:60_000] + b'"}')
def test_any_plain_message_on_amqp(child: Child, properties: bytes, body: bytes) -> None:
    """A message with any properties is acknowledged once (E1, E2, E6)."""
    fits(child.bill("plain", (properties, body)))


@many
@given(FILES)
def test_any_file_of_jobs(child: Child, file: tuple[str, bytes]) -> None:
    """`callworker enqueue --file` reads its lines or gives an error for people, within a limit for each line."""
    fits(child.bill("file", file), times=1 + file[1].count(b"\n"))
