"""Celery's options that this worker heeds, on a real one."""

from __future__ import annotations

import os
from pathlib import Path

from tests.integration.stack import COMMANDS, Worker, accounts_toml, api_key, key_name
from tests.processes import free_port


def test_options_that_stand_for_a_setting_are_heeded(tmp_path: Path, redis_url: str) -> None:
    """Level, log file, process file, name and places of calls are as they were given, and it works (B10, D9)."""
    (tmp_path / "accounts.toml").write_text(accounts_toml({"acme": {"rate": "1/s"}}))
    environ = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": redis_url,
        "ACCOUNTS_FILE": str(tmp_path / "accounts.toml"),
        key_name("acme"): api_key("acme"),
        "PROXSTOP_URL": "http://127.0.0.1:1",
        "METRICS_PORT": str(free_port()),
    }
    options = [
        "-l",
        "debug",
        "-f",
        f"{tmp_path}/%n.log",
        "--pidfile",
        f"{tmp_path}/%n.pid",
        "-n",
        "w1@here",
        "-c",
        "7",
    ]
    worker = Worker([*COMMANDS["celery"], *options, "-P", "threads"], environ, tmp_path / "output")
    try:
        worker.wait_until_ready()
        assert int((tmp_path / "w1.pid").read_text()) == worker.process.pid
        assert '"level": "debug"' in (tmp_path / "w1.log").read_text()
        assert "w1@here" in worker.output and "concurrency: 7" in worker.output
        worker.terminate()
        assert worker.exit_status() == 0
    finally:
        worker.close()
    assert '"level"' not in worker.output
    assert not (tmp_path / "w1.pid").exists()


def test_log_file_that_cannot_be_written_stops_the_start(tmp_path: Path, redis_url: str) -> None:
    """One line names the file; before, lines went to standard error without a word (B10)."""
    (tmp_path / "accounts.toml").write_text(accounts_toml({"acme": {"rate": "1/s"}}))
    environ = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": redis_url,
        "ACCOUNTS_FILE": str(tmp_path / "accounts.toml"),
        key_name("acme"): api_key("acme"),
        "METRICS_PORT": str(free_port()),
    }
    options = ["-f", str(tmp_path / "none" / "log")]
    worker = Worker([*COMMANDS["celery"], *options], environ, tmp_path / "output")
    try:
        assert worker.exit_status() == 1
    finally:
        worker.close()
    assert worker.output.splitlines() == [
        f"callworker: --logfile: {tmp_path}/none/log: No such file or directory"
    ]
