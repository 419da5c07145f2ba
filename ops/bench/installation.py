"""A callworker installation for the bench: its accounts file, and workers on a site."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ops.bench.contenders import KEY_VARIABLE, CallWorker, Contender, Site
from ops.bench.processes import WorkerTree
from ops.bench.servers import Servers

UNLIMITED = 'rate = "999999/s"\nburst = 1000\nconcurrency = 10000'
"""An account's limits, far above what can be reached."""


@dataclass(frozen=True)
class Installation:
    """A ready worker of callworker, and its site."""

    site: Site
    worker: WorkerTree


def start(
    servers: Servers, limits: Mapping[str, str], running: ExitStack, *, at_rest: bool = True, **settings: str
) -> Installation:
    """Start a worker on the fastest provider, for accounts with these limits; with `at_rest`, wait until it idles."""
    provider = servers.providers[min(servers.providers)]
    own = CallWorker()
    site = Site(
        servers.redis.url,
        servers.broker_url,
        provider.url,
        own.in_flight_at_once,
        accounts_file(servers.folder, limits),
    )
    command, environ, cwd = own.command(site)
    environ = {**environ, **settings}
    worker = _started(WorkerTree(command, servers.folder, environ, cwd), running)
    if at_rest:
        worker.wait_until_at_rest()
    return Installation(site, worker)


def accounts_file(folder: Path, limits: Mapping[str, str]) -> Path:
    """Write the accounts file: the limits of each name, as lines of TOML. All accounts have the same key."""
    path = folder / "accounts.toml"
    tables = (
        f'[accounts.{name}]\napi_key_env = "{KEY_VARIABLE}"\n{lines}\n' for name, lines in limits.items()
    )
    path.write_text("".join(tables), encoding="utf-8")
    return path


def launch(contender: Contender, site: Site, folder: Path, running: ExitStack) -> WorkerTree:
    """Start one worker; `running` ends it. It may not be ready yet."""
    command, environ, cwd = contender.command(site)
    return _started(WorkerTree(command, folder, environ, cwd), running)


def _started(worker: WorkerTree, running: ExitStack) -> WorkerTree:
    running.callback(worker.kill)
    worker.start()
    return worker
