"""`callworker demo` as people type it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import absent, wait_until
from worker.embedded import EmbeddedServerError, find_binary

MAX_SECONDS = 120
"""For a busy machine; a calm one needs a quarter of it."""
DEMO = [sys.executable, "-m", "worker.cli", "demo", "--json"]


@pytest.fixture
def environ(tmp_path: Path, usual_ports: None) -> dict[str, str]:
    """An environment with settings that would mislead a demo that read them."""
    try:
        find_binary()
    except EmbeddedServerError:
        absent("a Redis or Valkey server")
    misleading = {"REDIS_URL": "redis://127.0.0.1:1/0", "ACCOUNTS_FILE": "/nowhere", "METRICS_PORT": "1"}
    return {**os.environ, **misleading, "TMPDIR": str(tmp_path)}


def left_behind(folder: Path) -> list[str]:
    """The processes that were started with `folder` in their arguments or environment, where that can be known."""
    return [
        process.name for process in Path("/proc").glob("[0-9]*") if _mentions(process, os.fsencode(folder))
    ]


def _mentions(process: Path, name: bytes) -> bool:
    try:
        return name in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except OSError:
        return False


def test_demo_ends_by_itself_and_cleans_up(environ: dict[str, str], tmp_path: Path) -> None:
    """Every job ends as expected, no limit is exceeded, every webhook is verified, and nothing stays behind."""
    done = subprocess.run(DEMO, env=environ, capture_output=True, text=True, timeout=MAX_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["ok"], report["problems"]) == (True, [])
    assert {case["account"] for case in report["cases"]} >= {"acme", "globex", "initech"}
    assert sum(account["webhooks_repeated"] for account in report["accounts"]) >= 1
    assert list(tmp_path.iterdir()) == []
    assert left_behind(tmp_path) == []


def hear_interrupts() -> None:
    """A shell starts what it puts into the background with SIGINT ignored, and that is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_demo_leaves_nothing_behind(
    environ: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C or a polite end in the middle: status 130, no process and no folder is left."""
    demo = subprocess.Popen(
        DEMO,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )
    assert demo.stderr is not None
    try:
        while "jobs ended" not in (line := demo.stderr.readline()):
            assert line, "the demo ended before it had begun"
        assert left_behind(tmp_path) or not Path("/proc/self/environ").exists()
        demo.send_signal(number)
        assert demo.wait(MAX_SECONDS) == 130
    finally:
        demo.kill()
        demo.communicate()
    wait_until(lambda: list(tmp_path.iterdir()) == [], "the folders are gone")
    wait_until(lambda: left_behind(tmp_path) == [], "all processes are gone")
