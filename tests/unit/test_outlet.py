"""Lines on their way to a descriptor: in order where it takes them, dropped and counted where it does not."""

from __future__ import annotations

import gc
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.processes import wait_until
from worker.telemetry import outlet
from worker.telemetry.outlet import Outlet


class Pipe:
    """A pipe that is read only when the test reads it."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        os.set_blocking(self.out, False)

    def fill(self) -> None:
        os.set_blocking(self.into, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.into, b"#" * 1023 + b"\n")
        os.set_blocking(self.into, True)

    def read(self) -> str:
        """Return the bytes that are there."""
        parts = []
        with suppress(BlockingIOError):
            while part := os.read(self.out, 65536):
                parts.append(part)
        return b"".join(parts).decode()


@pytest.fixture
def pipe() -> Pipe:
    """A pipe that is never closed, because an outlet's thread may still write to it."""
    return Pipe()


def test_lines_arrive_in_order_and_none_is_lost(pipe: Pipe) -> None:
    """Lines arrive in order and none is lost while somebody reads."""
    lines = Outlet(pipe.into, "utf-8")
    for n in range(500):
        lines.write(f"{n}\n")
    assert lines.drain(30)
    assert pipe.read() == "".join(f"{n}\n" for n in range(500))


def test_a_line_that_the_encoding_does_not_have_is_escaped(pipe: Pipe) -> None:
    """A terminal in Latin-1, and a lone surrogate, lose no line."""
    lines = Outlet(pipe.into, "latin-1")
    lines.write("caf\u00e9 \u2603 \ud800\n")
    assert lines.drain(30)
    assert os.read(pipe.out, 100) == b"caf\xe9 \\u2603 \\ud800\n"


def test_a_stuck_pipe_keeps_nobody_and_its_loss_is_counted(
    pipe: Pipe,
) -> None:
    """No write waits; what is too much is dropped, at once counted, and told once the pipe is read again (B11)."""
    pipe.fill()
    dropped: list[int] = []
    told: list[int] = []
    lines = Outlet(
        pipe.into,
        "utf-8",
        dropped=lambda: dropped.append(1),
        recovered=told.append,
        max_characters=20_000,
    )
    for n in range(5000):
        lines.write(f"{n:0>99}\n")
    assert len(dropped) == 4800 and not told
    assert not lines.drain(0.01)
    read = ""

    def is_read() -> bool:
        nonlocal read
        read += pipe.read()
        return bool(told)

    wait_until(is_read, "the loss is told")
    assert told == [len(dropped)]
    wait_until(lambda: lines.drain(0.01), "all is written")
    kept = [line for line in (read + pipe.read()).splitlines() if line[0] != "#"]
    assert len(kept) == 5000 - len(dropped) and kept == sorted(kept)


def test_lines_are_bounded_in_number_too(pipe: Pipe) -> None:
    """Short lines cost memory by their number."""
    pipe.fill()
    dropped: list[int] = []
    lines = Outlet(pipe.into, "utf-8", dropped=lambda: dropped.append(1), max_lines=10)
    for _ in range(25):
        lines.write("x\n")
    assert len(dropped) == 15


def test_a_reader_that_is_gone_stops_nobody() -> None:
    """Lines that cannot be written are dropped and counted as well."""
    out, into = os.pipe()
    os.close(out)
    dropped: list[int] = []
    lines = Outlet(into, "utf-8", dropped=lambda: dropped.append(1))
    for _ in range(10):
        lines.write("x\n")
    assert lines.drain(30)
    assert len(dropped) == 10


def test_a_pipe_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    """Another process may have set it so."""
    os.set_blocking(pipe.into, False)
    lines = Outlet(pipe.into, "utf-8")
    for n in range(3000):
        lines.write(f"{n:0>99}\n")
    read = ""

    def is_read() -> bool:
        nonlocal read
        read += pipe.read()
        return read.endswith("2999\n")

    wait_until(is_read, "all is read")
    assert len(read.splitlines()) == 3000


def test_a_forked_child_writes_its_own_lines_alone(pipe: Pipe) -> None:
    """Lines that waited in the parent are written once, by the parent; the child has a thread of its own."""
    pipe.fill()
    lines = Outlet(pipe.into, "utf-8")
    for n in range(3):
        # The writing thread is stuck with the first; the others wait.
        lines.write(f"parent {n}\n")
        time.sleep(0.05)
    child = os.fork()
    if child == 0:
        try:
            lines.write("child\n")
            os._exit(0 if lines.drain(30) else 1)
        finally:
            os._exit(2)
    read = ""

    def is_read() -> bool:
        nonlocal read
        read += pipe.read()
        return "parent 2\n" in read and "child\n" in read

    wait_until(is_read, "both are read")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    lines.write("later\n")
    assert lines.drain(30)
    told = [line for line in (read + pipe.read()).splitlines() if line[0] != "#"]
    assert sorted(told[:-1]) == ["child", "parent 0", "parent 1", "parent 2"] and told[-1] == "later"


def test_a_file_is_written_as_a_pipe_is(tmp_path: Path) -> None:
    """`--logfile` may lie on a file system that hangs."""
    with (tmp_path / "log").open("a") as file:
        lines = Outlet(file.fileno(), "utf-8")
        lines.write("x\n")
        assert lines.drain(30)
    assert (tmp_path / "log").read_text() == "x\n"


def test_a_stream_that_nobody_else_holds_stays_open(tmp_path: Path) -> None:
    """Its descriptor would be closed, and lines written to whatever connection has that number next (B10)."""
    taken = outlet.of((tmp_path / "log").open("a", encoding="utf-8"), lambda _: None)
    gc.collect()
    taken.write("kept\n")
    wait_until(lambda: (tmp_path / "log").read_text() == "kept\n", "the line is written")
