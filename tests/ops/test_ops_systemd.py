"""The systemd unit: systemd takes it, finds it hardened, and it forbids nothing that a worker does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest

from tests.integration.outside import new_job
from tests.integration.receiver import Receiver, local_hook
from tests.integration.stack import COMMANDS, Stack, Worker, spawn
from tests.processes import absent, free_port, wait_until
from worker.sandbox import Sandbox

UNIT = Path(__file__).parents[2] / "ops/systemd/callworker@.service"
INSTANCE = "callworker@9808.service"
MOST_EXPOSED = 15
"""Of 100, as `systemd-analyze security` counts. A service without any of the settings has 96."""
HARMLESS = r"/dev/null|/proc/self/task/\d+/comm|/var/lib/libuuid/clock\.txt"
"""Files opened for writing: a device, names of threads, and what libuuid does without if need be."""
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"


def settings() -> dict[str, list[str]]:
    """Return the unit's settings; one that is there several times has all its values."""
    found = defaultdict(list)
    for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE):
        found[name].append(value)
    return found


def analyze(*words: str) -> str:
    """Return what `systemd-analyze` prints; fail if it is not satisfied."""
    if not shutil.which("systemd-analyze"):
        absent("systemd-analyze")
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> str:
    """The path of the unit for one worker, with the program where the tests have it."""
    program = Path(sys.executable).with_name("callworker")
    text = UNIT.read_text(encoding="utf-8").replace("/opt/callworker/bin/callworker", str(program))
    (tmp_path / INSTANCE).write_text(text, encoding="utf-8")
    return str(tmp_path / INSTANCE)


def test_unit_is_valid(installed: str) -> None:
    """All settings are known and well-formed: systemd has nothing to remark."""
    assert analyze("verify", installed) == ""


def test_unit_is_hardened(installed: str) -> None:
    """What is left open is what a worker needs: the network, and the host's files to read."""
    analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", installed)


def test_unit_gives_a_worker_time_to_stop() -> None:
    """The worker is killed later than its calls in flight and their records take."""
    (seconds,) = settings()["TimeoutStopSec"]
    assert float(seconds) >= 30 + 10


def allowed_calls() -> set[str]:
    """Return the system calls that the unit allows."""
    groups: dict[str, set[str]] = {}
    for line in analyze("syscall-filter").splitlines():
        if line.startswith("@"):
            members = groups.setdefault(line.strip(), set())
        elif line.strip() and not line.strip().startswith("#"):
            members.add(line.strip())
    allowed, *denied = settings()["SystemCallFilter"]
    refused = {
        call for line in denied for group in line.lstrip("~").split() for call in _calls(group, groups)
    }
    return _calls(allowed, groups) - (refused - _calls("@default", groups))


def _calls(name: str, groups: dict[str, set[str]]) -> set[str]:
    if name not in groups:
        return {name}
    return {call for member in groups[name] for call in _calls(member, groups)}


@pytest.fixture(scope="module")
def trace(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The system calls of a worker that starts, places calls, sends webhooks and stops."""
    if not shutil.which("strace"):
        absent("strace")
    folder = tmp_path_factory.mktemp("traced")
    # -D: strace stands aside, so that the worker itself is the child that is told to stop.
    command = ["strace", "-D", "-f", "-qq", "-o", str(folder / "trace"), sys.executable]
    with Receiver() as receiver, Sandbox() as sandbox:
        hook = local_hook(receiver.url, secret_env="HOOK_SECRET")
        accounts = {"acme": {"rate": "50/s", "webhooks": [hook]}}
        stack = Stack(folder, redis_server, redis_server, sandbox.url, accounts, HOOK_SECRET=SECRET)
        with stack:
            _work(stack, folder, command[:-1])
            wait_until(lambda: len({hook.event_id for hook in receiver.hooks}) == 5, "webhooks")
    wait_until(lambda: "exit_group(" in _text(folder), "the trace of the worker's end")
    return _text(folder)


def _text(folder: Path) -> str:
    return (folder / "trace").read_text(encoding="utf-8", errors="replace")


def _work(stack: Stack, folder: Path, prefix: list[str]) -> None:
    stack.outside.redis.flushall()
    environ = {**stack.environ, "METRICS_PORT": str(free_port()), "PYTHONDONTWRITEBYTECODE": "1"}
    worker = Worker(COMMANDS["run"], environ, folder / "worker.log", spawn=partial(spawn, prefix=prefix))
    stack.workers.append(worker)
    worker.wait_until_ready()
    stack.outside.send(*(new_job(f"job-{n}") for n in range(5)))
    stack.outside.wait(f"job-{n}" for n in range(5))
    assert "process_cpu_seconds_total" in worker.get("/metrics")[1]


def test_unit_forbids_no_system_call_of_a_worker(trace: str) -> None:
    """Every call that was seen is one that the filter lets through."""
    called = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", trace, re.MULTILINE))
    assert len(called) > 50 and called - allowed_calls() == set()


def test_unit_forbids_no_socket_of_a_worker(trace: str) -> None:
    """Every socket is of a family that the unit allows."""
    families = set(re.findall(r"socket\((AF_\w+)", trace))
    assert families and families <= set(settings()["RestrictAddressFamilies"][0].split())


def test_worker_makes_no_memory_executable_that_it_wrote(trace: str) -> None:
    """MemoryDenyWriteExecute refuses nothing."""
    assert settings()["MemoryDenyWriteExecute"] == ["true"] and "PROT_EXEC" in trace
    refused = r"mmap\([^)\n]*PROT_WRITE\|PROT_EXEC|(?:pkey_)?mprotect\([^)\n]*PROT_EXEC|SHM_EXEC"
    assert re.findall(refused, trace) == []


def test_worker_writes_no_file(trace: str) -> None:
    """With a file system that can only be read, it lacks nothing: all else that it opens is optional."""
    opened = re.findall(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]+)", [^)\n]*O_(?:WRONLY|RDWR|CREAT)', trace)
    assert [path for path in opened if not re.fullmatch(HARMLESS, path)] == []
