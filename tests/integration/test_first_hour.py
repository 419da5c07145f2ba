"""What a newcomer types first: the pages' commands and `callworker dev`, each in a process group of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from tests.processes import free_port, wait_until
from worker.cli.dev import ACCOUNTS
from worker.settings import Settings

ROOT = Path(__file__).parents[2]
BY_HAND = ROOT / "docs/how-to/use-the-sandbox.md"
TUTORIAL = ROOT / "docs/tutorial/first-call.md"
WEBHOOK_PORT = "8808"
CALLWORKER = [sys.executable, "-m", "worker.cli"]
JOB = ("--account", "acme", "--country", "1", "--phone", "2125550123", "--code", "4711")
ENQUEUE = ("enqueue", *JOB, "--wait")
PLACED = re.compile(r"^\S+Z  placed    job_\S+  acme  \*{6}0123  1 sent  [0-9A-F]{32}$", re.MULTILINE)
OWN_NETWORK = [
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "sh",
    "-c",
    'ip link set lo up && exec "$@"',
    "sh",
]
SANDBOX_PORT = 8809
LONGEST_SECONDS = 150


@cache
def may_have_a_network() -> bool:
    """Return whether this user may give a process a network of its own, in which every port is free."""
    with suppress(OSError):
        return subprocess.run([*OWN_NETWORK, "true"], capture_output=True, check=False).returncode == 0
    return False


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A shell without settings of ours, whose home is empty."""
    ours = {str(field.alias) for field in Settings.model_fields.values()} | {"XDG_STATE_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {
        "HOME": str(tmp_path),
        "METRICS_PORT": "9808" if may_have_a_network() else str(free_port()),
    }


@contextmanager
def started(command: list[str], tmp_path: Path, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process group under way, what it prints in the file `out`; all of it has ended afterwards."""
    with (tmp_path / "out").open("wb") as out:
        group = subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=environ,
            cwd=tmp_path,
            start_new_session=True,
        )
    try:
        yield group
    finally:
        for how in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(group.pid, how)
                group.wait(30)


def blocks(page: Path, heading: str) -> list[str]:
    """The blocks of shell commands under a heading of a page, word for word."""
    section = page.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def script_and_command(tmp_path: Path) -> tuple[str, list[str]]:
    """The page's block, and what runs it: word for word where it has a network of its own; else with a free port."""
    (text,), file = blocks(BY_HAND, "Part by part"), str(tmp_path / "block")
    if may_have_a_network():
        return text, [*OWN_NETWORK, "bash", "-e", file]
    port = free_port()
    text = text.replace(f":{SANDBOX_PORT}", f":{port}").replace("sandbox &", f"sandbox --port {port} &")
    return text, ["bash", "-e", file]


@pytest.mark.usefixtures("usual_ports")
def test_commands_of_the_page_work_word_for_word(tmp_path: Path, environ: dict[str, str]) -> None:
    """Pasted in one go, the block of "Part by part" places a call and prints it twice: commands wait for a server
    that is only starting, and `results` for an event that is on its way (D3)."""
    script, command = script_and_command(tmp_path)
    (tmp_path / "block").write_text(script, encoding="utf-8")
    activate = tmp_path / ".venv/bin/activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n', encoding="utf-8")
    with started(command, tmp_path, environ) as shell:
        status = shell.wait(LONGEST_SECONDS)
    told = (tmp_path / "out").read_text(errors="replace")
    assert status == 0, told
    assert len(PLACED.findall(told)) == 2, told


@pytest.mark.usefixtures("usual_ports")
def test_dev_needs_nothing_and_other_commands_find_it(tmp_path: Path, environ: dict[str, str]) -> None:
    """`callworker dev` brings its own accounts, keys and ports; what it prints to type works in another terminal
    without any setting, also while it is still starting; Ctrl-C ends all of it (D3)."""
    environ = {name: value for name, value in environ.items() if name != "METRICS_PORT"}
    with started([*CALLWORKER, "dev"], tmp_path, environ) as dev:
        first = _run(ENQUEUE, environ)
        assert PLACED.search(first.stdout), first
        assert "server of `callworker dev`" in first.stderr
        assert PLACED.search(_run(("results",), environ).stdout)
        told = (tmp_path / "out").read_text()
        assert f"callworker {' '.join(ENQUEUE)}" in told
        assert PLACED.search(_run(ENQUEUE, {**environ, **_exports(told)}).stdout)
        dev.send_signal(signal.SIGINT)
        assert dev.wait(60) == 0, told
    server = _exports(told)["REDIS_URL"].removeprefix("unix://")
    wait_until(lambda: not _listens(server), "the embedded server has ended")


@pytest.mark.usefixtures("usual_ports")
def test_tutorial_s_receiver_prints_the_event(tmp_path: Path, environ: dict[str, str]) -> None:
    """The tutorial's step with the webhook: `dev` signs with the secret that the shell names, and the receiver of
    the examples verifies the event and prints it."""
    port = str(free_port())
    webhook, dev, receiver, call = [
        block.replace(WEBHOOK_PORT, port).replace("examples/", f"{ROOT}/examples/")
        for block in blocks(TUTORIAL, "5. Receive events with a webhook")[:4]
    ]
    _give_dev_its_accounts(tmp_path)
    environ = {name: value for name, value in environ.items() if name != "METRICS_PORT"}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    subprocess.run(["bash", "-ec", webhook], env=environ, check=True)
    receiver = receiver.replace(". .venv/bin/activate\n", "")
    (there := tmp_path / "receiver").mkdir()
    with started(["bash", "-ec", receiver], there, environ), started(["bash", "-ec", dev], tmp_path, environ):
        subprocess.run(["bash", "-c", call], env=environ, timeout=LONGEST_SECONDS, check=False)
        wait_until(lambda: "INVALID_TELEPHONE" in (there / "out").read_text(), "the event is printed")
        assert '"id": "order-4713"' in (there / "out").read_text()


def _give_dev_its_accounts(home: Path) -> None:
    folder = home / ".local/state/callworker-dev"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "accounts.toml").write_text(ACCOUNTS, encoding="utf-8")


def _run(words: Sequence[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CALLWORKER, *words],
        env=environ,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )


def _exports(told: str) -> dict[str, str]:
    line = next(line for line in told.splitlines() if "export" in line)
    return dict(word.split("=", 1) for word in line.partition("export ")[2].split())


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0
