"""The blocks of README and pages are run beside `callworker dev`, as a reader with two terminals runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.receiver import Receiver
from tests.ops.blocks import Block, blocks, command_lines
from tests.ops.examples import ROOT
from tests.processes import SERVERS_ARE_REQUIRED, process, wait_until
from worker.cli.dev import ACCOUNTS
from worker.settings import Settings

LONGEST_SECONDS = 90
USUAL_REDIS = "redis://localhost:6379/0"
PIN = "4711\n"
TABLE = "country,phone,code\n1,2125550123,4711\n44,2079460123,48151\n"
ENQUEUE = "callworker enqueue --account acme --country 1 --phone 2125550123 --code 4711"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
ORDERS = """
[[accounts.acme.webhooks]]
url = "{url}"
name = "orders"
secret_env = "ORDERS_SECRET"
allow_insecure = true
allow_ports = [{port}]
allow_networks = ["127.0.0.0/8"]
"""
FIRST = "docs/tutorial/"
"""Its calls are waited for, so no other page may have used their ids before."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """A shell in a folder that looks like the project's, where the commands find `callworker dev`."""

    folder: Path
    environ: dict[str, str]

    @property
    def socket(self) -> Path:
        return Path(self.environ["HOME"]) / ".local/state/callworker-dev/redis.sock"

    def command(self, block: Block) -> list[str]:
        """Return the command that runs a block unchanged, except for the usual address of Redis."""
        if block.language == "python":
            return [sys.executable, "-c", block.code.replace(USUAL_REDIS, f"redis+socket://{self.socket}")]
        client = f'redis-cli() {{ command redis-cli -s "{self.socket}" "$@"; }}\n'
        return ["bash", "-c" if block.status else "-ec", client + block.code]

    def for_block(self, block: Block) -> dict[str, str]:
        """A program of a reader's own knows the server's address; commands find it by themselves."""
        own = block.language == "python"
        return self.environ | ({"REDIS_URL": f"unix://{self.socket}"} if own else {})

    def run(self, command: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, input=PIN, env=environ, cwd=self.folder,
            capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False,
        )  # fmt: skip


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The web server of a subscriber."""
    with Receiver() as found:
        yield found


@pytest.fixture
def terminal(tmp_path: Path, usual_ports: None, receiver: Receiver) -> Iterator[Terminal]:
    """A terminal beside a `callworker dev` that has placed a call, with an endpoint named `orders`."""
    ours = {*Settings.variables(), "XDG_STATE_HOME"}
    environ = {name: value for name, value in os.environ.items() if name not in ours}
    environ |= {
        "HOME": str(tmp_path),
        "ORDERS_SECRET": SECRET,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    folder = tmp_path / "project"
    folder.mkdir()
    for link, target in ((".venv", Path(sys.prefix)), ("examples", ROOT / "examples")):
        (folder / link).symlink_to(target)
    (folder / "jobs.csv").write_text(TABLE, encoding="utf-8")
    found = Terminal(folder, environ)
    found.socket.parent.mkdir(mode=0o700, parents=True)
    accounts = ACCOUNTS + ORDERS.format(url=receiver.url, port=receiver.port)
    found.socket.with_name("accounts.toml").write_text(accounts, encoding="utf-8")
    with process([sys.executable, "-m", "worker.cli", "dev"], tmp_path, environ):
        ready = found.run(["bash", "-c", f"{ENQUEUE} --wait"], environ)
        assert ready.returncode == 0, ready
        yield found


def to_run() -> list[Block]:
    """All blocks that can be run, the tutorial's first. `make` is not run from a test that it runs itself."""
    shell = [block for block in blocks("sh") if not any(command_lines(block, "make"))]
    found = [block for block in (*shell, *blocks("python")) if block.runs]
    return sorted(found, key=lambda block: not block.place.startswith(FIRST))


def fault(terminal: Terminal, block: Block) -> str | None:
    """Return what went wrong with a block; None if nothing did."""
    done = terminal.run(terminal.command(block), terminal.for_block(block))
    if done.returncode == block.status:
        return None
    return f"{block.place}: exit status {done.returncode}\n{done.stdout}{done.stderr}"


def prints(terminal: Terminal, block: Block, tmp_path: Path) -> None:
    """Run a program that does not end, and send jobs until it prints what the page says."""
    output = tmp_path / block.place.replace("/", "-")
    output.mkdir()

    def printed() -> bool:
        terminal.run(["bash", "-c", ENQUEUE], terminal.environ)
        return str(block.printed) in (output / "output").read_text(encoding="utf-8")

    with process(terminal.command(block), output, terminal.for_block(block) | {"PYTHONUNBUFFERED": "1"}):
        wait_until(printed, f"{block.place} prints {block.printed}")


@pytest.mark.timeout(300)
def test_blocks_run(terminal: Terminal, tmp_path: Path) -> None:
    """One after the other, each in a shell of its own; one that cannot be run has a mark that says why."""
    found = to_run()
    if "redis-cli" in "".join(block.code for block in found) and not shutil.which("redis-cli"):
        assert not SERVERS_ARE_REQUIRED, "redis-cli is required here"
        found = [block for block in found if "redis-cli" not in block.code]
    assert len(found) > 10
    faults = [fault(terminal, block) for block in found if block.printed is None]
    if told := "\n".join(text for text in faults if text):
        pytest.fail(told)
    for block in found:
        if block.printed is not None:
            prints(terminal, block, tmp_path)
