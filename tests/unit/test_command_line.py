"""Celery's own command line on this app: each option and command has its effect, or is refused in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from celery.bin.celery import celery as celery_program
from celery.bin.worker import worker as worker_command

from worker.celery_edge.command_line import COMMANDS, GLOBAL_REFUSED, OBEYED, REFUSED

ROOT = Path(__file__).parents[2]
ARGUMENTS = {
    "detach": ["-D"],
    "umask": ["--umask", "7"],
    "executable": ["--executable", "x"],
    "uid": ["--uid", "nobody"],
    "gid": ["--gid", "nogroup"],
    "statedb": ["-S", "x"],
    "optimization": ["-O", "fair"],
    "prefetch_multiplier": ["--prefetch-multiplier", "1"],
    "disable_prefetch": ["--disable-prefetch"],
    "task_events": ["-E"],
    "time_limit": ["--time-limit", "3"],
    "soft_time_limit": ["--soft-time-limit", "3"],
    "max_tasks_per_child": ["--max-tasks-per-child", "3"],
    "max_memory_per_child": ["--max-memory-per-child", "3"],
    "pool_start_method": ["--pool-start-method", "fork"],
    "purge": ["--purge"],
    "queues": ["-Q", "foo"],
    "exclude_queues": ["-X", "calls"],
    "include": ["-I", "no.such.module"],
    "heartbeat_interval": ["--heartbeat-interval", "3"],
    "autoscale": ["--autoscale", "3,4"],
    "beat": ["-B"],
    "schedule_filename": ["-s", "x"],
    "scheduler": ["--scheduler", "x"],
}
WORDS = {
    "inspect": ["ping"],
    "control": ["shutdown"],
    "result": ["4711"],
    "multi": ["start", "w1"],
    "graph": ["workers"],
    "list": ["bindings"],
}


def celery(*words: str, program: tuple[str, ...] = (), environ: Mapping[str, str] | None = None) -> list[str]:
    """Run `celery PROGRAM -A worker.app WORDS`, which must end with status 2; its lines on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "celery", *program, "-A", "worker.app", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "CALLWORKER_STATE_DIR": "/nowhere", **(environ or {})},
    )
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("callworker: ") for line in lines), done.stderr
    return [line.removeprefix("callworker: ") for line in lines]


def spelled(option: str) -> str:
    return "/".join(next(p.opts for p in worker_command.params if p.name == option))


def test_every_option_of_the_worker_command_is_decided() -> None:
    """An option that a new Celery brings fails here until somebody has decided about it (D9)."""
    ours = {"judged_by_callworker"}
    assert {p.name for p in worker_command.params} - ours == OBEYED | REFUSED.keys()
    assert not OBEYED & REFUSED.keys()
    assert ARGUMENTS.keys() == REFUSED.keys()
    assert {p.name for p in celery_program.params} >= GLOBAL_REFUSED.keys()


def test_every_option_that_is_not_heeded_is_refused_in_one_line() -> None:
    """All of them at once, each with its reason, and before anything is started (D9)."""
    words = [word for arguments in ARGUMENTS.values() for word in arguments]
    lines = celery("worker", *words)
    assert sorted(lines) == sorted(f"{spelled(option)}: {reason}" for option, reason in REFUSED.items())


@pytest.mark.parametrize("pool", ["gevent", "prefork", "solo"])
def test_pool_other_than_threads_is_refused(pool: str) -> None:
    """Other pools are refused: gevent lost half of the events, and prefork silently became threads (B10)."""
    assert [line.partition(":")[0] for line in celery("worker", "-P", pool)] == ["-P/--pool"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-c", "auto"], "-c/--concurrency: is not a whole number"),
        (["-c", "0"], "-c/--concurrency: is out of range"),
        (["-l", "loud"], "-l/--loglevel: is not a known value"),
        (["worker.pool=solo"], "worker.pool=solo: is not an option"),
    ],
)
def test_wrong_value_of_an_option_is_one_line(words: list[str], told: str) -> None:
    """A wrong value is refused in one line, by the rules of the setting that the option sets (D9)."""
    (line,) = celery("worker", *words)
    assert line.startswith(told)


def test_options_given_as_variables_are_refused_as_well() -> None:
    """Celery reads an option from a variable, too, which is named as such (D9)."""
    (line,) = celery("worker", environ={"CELERY_WORKER_AUTOSCALE": "3,4"})
    assert line.startswith("CELERY_WORKER_AUTOSCALE: ")


def test_options_of_the_program_are_refused_in_front_of_worker() -> None:
    """They would set up what this app does not have (D9)."""
    lines = celery(
        "worker", program=("--result-backend", "redis://x", "--config", "x", "--loader", "default")
    )
    assert sorted(line.partition(":")[0] for line in lines) == ["--config", "--loader", "--result-backend"]


EACH_COMMAND = """
import json, sys
from celery.bin.celery import celery
for words in json.loads(sys.argv[1]):
    try:
        celery(["-A", "worker.app", *words], auto_envvar_prefix="CELERY")
    except SystemExit as end:
        print(words[0], end.code)
"""


def test_commands_that_would_find_nobody_say_what_to_use() -> None:
    """Nobody waits for an answer that never comes, and no job is thrown away (D9). Flower is not installed here."""
    names = sorted(COMMANDS.keys() - {"flower"})
    done = subprocess.run(
        # Celery's own `events` has two options of one name, of which click warns.
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            EACH_COMMAND,
            json.dumps([[n, *WORDS.get(n, [])] for n in names]),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "CALLWORKER_STATE_DIR": "/nowhere"},
    )
    assert done.stdout.splitlines() == [f"{name} 2" for name in names]
    assert done.stderr.splitlines() == [f"callworker: celery {name}: {COMMANDS[name]}" for name in names]
