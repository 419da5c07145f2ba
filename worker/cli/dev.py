"""`callworker dev`: an embedded server, the sandbox and a worker in one process, for trials and development."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from worker.cli import places
from worker.cli.demo.props import HOST, endpoints, free_port, is_free, made_up
from worker.cli.output import example, say
from worker.cli.run import work
from worker.core.accounts import Accounts
from worker.embedded import socket_url
from worker.embedded.folder import make_private
from worker.sandbox import Sandbox
from worker.settings import Settings

SANDBOX_PORT, METRICS_PORT = 8809, 9808

ACCOUNTS = """\
# The accounts of `callworker dev`. Change them as you like; the next start reads them.
[accounts.acme]
api_key_env = "ACME_PROXSTOP_KEY"
rate = "60/m"
burst = 5
"""
ENQUEUE = "callworker enqueue --account acme --country 1 --phone 2125550123 --code 4711 --wait"


@click.command(epilog=example("callworker dev", ENQUEUE))
def command() -> NoReturn:
    """Run a worker, the sandbox provider and an embedded server until Ctrl-C. No real phone is called.

    It has its own accounts, keys and data, so nothing has to be prepared. The other commands, in another terminal, find
    it by themselves, unless REDIS_URL is set there or the embedded server of `callworker run` is running.
    """
    from worker.celery_edge.leaving import leave
    from worker.celery_edge.starting import settings_or_exit

    folder = places.dev_folder(Settings.from_env()).expanduser().absolute()
    accounts_file = _accounts_file(folder)
    with Sandbox(HOST, _free(SANDBOX_PORT)) as sandbox:
        settings = settings_or_exit(_environ(folder, accounts_file, sandbox.url))
        os.environ |= _credentials(Accounts.load(accounts_file))
        for line in _lines(folder, accounts_file, sandbox.url):
            say(line)
        status = work(settings)
    leave(status)


def _accounts_file(folder: Path) -> Path:
    make_private(folder)
    file = places.dev_accounts_file(folder)
    if not file.exists():
        file.write_text(ACCOUNTS, encoding="utf-8")
    return file


def _environ(folder: Path, accounts_file: Path, sandbox_url: str) -> dict[str, str]:
    """The variables that the worker's settings are read from: the shell's, but for its servers and files."""
    servers = {"REDIS_URL": "", "BROKER_URL": ""}
    own = {
        "CALLWORKER_STATE_DIR": str(folder),
        "ACCOUNTS_FILE": str(accounts_file),
        "PROXSTOP_URL": sandbox_url,
        "METRICS_HOST": HOST,
        "METRICS_PORT": str(_free(METRICS_PORT) or free_port()),
    }
    return {"LOG_FORMAT": "console", **os.environ, **servers, **own}


def _credentials(accounts: Accounts) -> dict[str, str]:
    """Made-up keys and secrets. The shell's webhook secrets are kept: the receiver must know them too."""
    shared = {name for hook in endpoints(accounts) for name in hook.secret_env if os.environ.get(name)}
    return {name: value for name, value in made_up(accounts).items() if name not in shared}


def _free(port: int) -> int:
    """The port, or 0 if another program uses it."""
    return port if is_free(port) else 0


def _lines(folder: Path, accounts_file: Path, sandbox_url: str) -> Iterator[str]:
    """Yield the lines that tell a person what to do next."""
    redis_url = shlex.quote(socket_url(folder))
    yield f"sandbox   {sandbox_url}; its requests: {sandbox_url}/_requests"
    yield f"accounts  {accounts_file}; to change them, edit the file and start again"
    yield "In another terminal:"
    yield f"  {ENQUEUE}"
    yield "  callworker results"
    yield "For your own programs, or if REDIS_URL is set there or `callworker run` is running, first enter:"
    yield f"  unset BROKER_URL; export REDIS_URL={redis_url} ACCOUNTS_FILE={shlex.quote(str(accounts_file))}"
    yield "Ctrl-C ends everything."
