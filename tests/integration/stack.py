"""An installation on this machine: a Redis of its own, a broker, an accounts file, and real worker processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol, Self

from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.outside import Outside
from tests.processes import free_port, wait_until
from worker.cli import program
from worker.settings import Settings

PROJECT = Path(__file__).parents[2]
COMMANDS = {
    "celery": ["-m", "celery", "-A", "worker.app", "worker"],
    "run": ["-m", "worker.cli", "run"],
}
"""The two ways to start a worker, as arguments for Python."""

Accounts = Mapping[str, Mapping[str, Any]]


class Process(Protocol):
    """The part of `subprocess.Popen` that tests use."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def kill(self) -> None: ...


Spawn = Callable[[Sequence[str], Mapping[str, str], Path], Process]
"""Starts Python with these arguments, in this environment, writing to this file."""


def spawn(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    output: Path,
    *,
    prefix: Sequence[str] = (),
    python: str = sys.executable,
    cwd: Path = PROJECT,
    **streams: int,
) -> Process:
    """Start a new interpreter in a session of its own, with no input and all its output in the file.

    `prefix` is put before the command. `python` and `cwd` are other ones for another version of the program.
    `streams` replace the standard stream of that name.
    """
    with output.open("wb") as file:
        chosen: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file, **streams}
        return subprocess.Popen(
            [*prefix, python, *arguments],
            env=dict(environ),
            cwd=cwd,
            start_new_session=True,
            **chosen,
        )


class Worker:
    """One worker process.

    `spawn` starts it; `host` is the address of its pages.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        output: Path,
        *,
        spawn: Spawn = spawn,
        host: str = "127.0.0.1",
    ) -> None:
        self.host, self.port, self._output = host, int(environ["METRICS_PORT"]), output
        self.process = spawn(arguments, environ, output)

    @property
    def output(self) -> str:
        """Everything that the worker has printed and logged so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def told(self, *names: str) -> list[dict[str, Any]]:
        """Return the JSON log lines so far, or those of the named events. A half-written line is left out."""
        whole = (line for line in self.output.splitlines(keepends=True) if line.endswith("\n"))
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in lines if not names or line.get("event") in names]

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of one of its pages; status 0 if nobody listens."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.port}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of `callworker_NAME` that have these labels."""
        text = self.get("/metrics")[1]
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(
            sample.value
            for sample in samples
            if sample.name == f"callworker_{name}" and labels.items() <= sample.labels.items()
        )

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.process.poll() is not None or self.get("/readyz")[0] == 200, "/readyz is 200")
        assert self.process.poll() is None, self.output

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_status(self, seconds: float = 40.0) -> int:
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Kill the worker with SIGKILL, and wait until it has ended."""
        self.process.kill()
        self.process.wait(20)

    def close(self) -> None:
        if self.process.poll() is None:
            self.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.exit_status(20)
        self.kill()


class Stack:
    """Workers on one Redis and one broker, and the outsider who talks to them. A context manager."""

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        broker_url: str,
        provider_url: str,
        accounts: Accounts,
        **settings: str,
    ) -> None:
        self.redis_url, self.broker_url = redis_url, broker_url
        self.outside = Outside(broker_url, redis_url)
        self.workers: list[Worker] = []
        self._folder = folder
        (folder / "accounts.toml").write_text(accounts_toml(accounts), encoding="utf-8")
        self.environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            **{key_name(name): api_key(name) for name in accounts},
            "REDIS_URL": redis_url,
            "BROKER_URL": broker_url,
            "PROXSTOP_URL": provider_url,
            "ACCOUNTS_FILE": str(folder / "accounts.toml"),
            **settings,
        }
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        self._exits.enter_context(self.outside)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.close()
        self._exits.close()

    def start(self, how: str = "celery", **settings: str) -> Worker:
        """Start one more worker and wait until it is ready for work."""
        worker = self.launch(how, **settings)
        worker.wait_until_ready()
        return worker

    def launch(self, how: str = "celery", **settings: str) -> Worker:
        """Start one more worker on a port of its own. It may not be ready yet, or may refuse to start."""
        environ = {**self.environ, "METRICS_PORT": str(free_port()), **settings}
        output = self._folder / f"worker-{len(self.workers)}.log"
        self.workers.append(Worker(COMMANDS[how], environ, output))
        return self.workers[-1]

    def command(self, *words: str) -> Result:
        """Run `callworker WORDS` in this process, with the settings of the workers."""
        environ = {**dict.fromkeys(Settings.variables()), **self.environ}
        return CliRunner().invoke(program, words, env=environ)


def api_key(account: str) -> str:
    """Return a made-up key of 32 hex characters, different for each account."""
    return hashlib.md5(account.encode()).hexdigest()


def key_name(account: str) -> str:
    """Return the name of the environment variable with the account's key."""
    return f"KEY_OF_{account.upper()}"


def accounts_toml(accounts: Accounts) -> str:
    """Return the text of the accounts file: each account's table, with its webhooks last."""
    lines = []
    for name, table in accounts.items():
        lines += [f"[accounts.{name}]", f'api_key_env = "{key_name(name)}"']
        lines += [f"{field} = {json.dumps(value)}" for field, value in table.items() if field != "webhooks"]
        for webhook in table.get("webhooks", ()):
            lines += [f"[[accounts.{name}.webhooks]]"]
            lines += [f"{field} = {json.dumps(value)}" for field, value in webhook.items()]
    return "\n".join(lines) + "\n"
