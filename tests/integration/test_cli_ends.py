"""The ends of commands that run as processes of their own: at a closed pipe, and at signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from worker.delivery.ports import OutgoingEvent
from worker.delivery.reader import read_results
from worker.delivery.results import ResultsQueue


def test_pipe_that_is_closed_early_costs_no_event(redis_url: str) -> None:
    """`results | head` ends without a traceback, and what could not be printed is still in the queue (D10)."""
    ResultsQueue(redis_url).publish([OutgoingEvent("call.placed", str(n)) for n in range(3)])
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", "results"],
        env={**os.environ, "REDIS_URL": redis_url},
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, "")
    assert sorted(read_results(redis_url)) == ["0", "1", "2"]


def test_disk_that_is_full_is_told_in_one_line() -> None:
    """A full disk at standard output is a failure with its cause, and no message of Python's follows (D10)."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "worker.cli", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "callworker: No space left on device\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_reader_that_is_told_to_end_ends_quietly(redis_url: str, number: int) -> None:
    """`results --follow` ends at Ctrl-C with status 130 and without a traceback, and at the signals that a service or a
    closed terminal sends likewise, so that an event it has in hand goes back (D10)."""
    ResultsQueue(redis_url).publish([OutgoingEvent("call.placed", "1")])
    with subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "results", "--follow"],
        env={**os.environ, "REDIS_URL": redis_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "'1'\n"
        reader.send_signal(number)
        _, errors = reader.communicate(timeout=60)
    assert (reader.returncode, errors.strip()) == (130, "")
