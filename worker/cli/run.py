"""`callworker run`: a worker in this process."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import NoReturn

import click

from worker.cli.output import example, say
from worker.settings import Settings


@click.command(
    epilog=example(
        "callworker run",
        "METRICS_PORT=9809 REDIS_URL=redis://redis:6379/0 callworker run --concurrency 100",
    )
)
@click.option("-c", "--concurrency", metavar="N", help="Calls in flight at once. [default: CONCURRENCY]")
@click.option(
    "--metrics-port",
    metavar="PORT",
    help="The port of /metrics, /livez and /readyz. [default: METRICS_PORT]",
)
@click.option(
    "--ephemeral", is_flag=True, help="Use a separate embedded server whose data is deleted at the end."
)
def command(concurrency: str | None, metrics_port: str | None, ephemeral: bool) -> NoReturn:
    """Run a worker until Ctrl-C or SIGTERM. It finishes the calls in progress before it ends.

    Everything else is set by environment variables; `callworker doctor` shows them.
    """
    from worker.celery_edge.leaving import leave
    from worker.celery_edge.starting import settings_or_exit

    options = {"CONCURRENCY": concurrency, "METRICS_PORT": metrics_port}
    given = {name: value for name, value in options.items() if value is not None}
    settings = settings_or_exit({**os.environ, **given}, of_worker=True)
    with ExitStack() as stack:
        if ephemeral:
            if not settings.embedded:
                raise click.UsageError("--ephemeral and REDIS_URL cannot be used together")
            settings = settings.model_copy(update={"redis_url": _throw_away_server(stack)})
        status = work(settings)
    leave(status)


def _throw_away_server(stack: ExitStack) -> str:
    """Start a server that lasts as long as `stack`; its address."""
    from worker.embedded import EmbeddedServer

    server = stack.enter_context(EmbeddedServer(ephemeral=True))
    say(f"callworker: other terminals find this worker with REDIS_URL={server.url}", err=True)
    return server.url


def work(settings: Settings) -> int:
    """Run Celery's worker program to its end.

    Returns its exit status, 0 also where Ctrl-C made it finish its work and end.
    """
    from celery.worker import state

    from worker.celery_edge.application import make_app

    program = make_app(settings).Worker(quiet=True)
    program.work()
    drained = state.should_stop is not None and state.should_terminate is None
    return 0 if drained else int(program.exitcode or 0)
