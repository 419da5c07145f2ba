"""Celery's command line for this program: each option and command is obeyed, or refused with a reason.

Without this most of them would silently have no effect, and some would lose events or jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import click

from worker.settings import Settings

OBEYED = frozenset(
    {"hostname", "loglevel", "concurrency", "pool", "logfile", "pidfile"}
    | {"without_gossip", "without_mingle", "without_heartbeat"}
)
"""Options of `celery worker`. The last three say what this worker does anyway."""

LEVELS = {"CRITICAL": "ERROR", "FATAL": "ERROR"}
"""Celery's levels that LOG_LEVEL does not have, and the levels that replace them."""

_ONE_PROCESS = "calls share one process; start more workers for more processes"
_ALL_QUEUES = "a worker takes from all of its queues, so that accounts do not delay each other"
_NO_LIMITS = "PROXSTOP_TIMEOUT limits the time of a call"
_NO_BEAT = "this worker has no periodic tasks; run beat with the app that has them"
_FETCHES = "a worker fetches as much as it can put on record, on every broker"
_NO_OTHER_USER = "start it as the user that it must run as, with systemd's User= or a container's user"
_NO_DETACH = "nobody would see a start that fails in the background; use systemd, a container or nohup"

REFUSED: Mapping[str, str] = {
    "detach": _NO_DETACH,
    "umask": _NO_DETACH,
    "executable": _NO_DETACH,
    "uid": _NO_OTHER_USER,
    "gid": _NO_OTHER_USER,
    "statedb": "there are no revoked tasks to remember; a job with a known id is dropped",
    "optimization": _ONE_PROCESS,
    "prefetch_multiplier": _FETCHES,
    "disable_prefetch": _FETCHES,
    "task_events": "a worker sends no Celery events; use the results queue, webhooks and /metrics",
    "time_limit": _NO_LIMITS,
    "soft_time_limit": _NO_LIMITS,
    "max_tasks_per_child": _ONE_PROCESS,
    "max_memory_per_child": _ONE_PROCESS,
    "pool_start_method": _ONE_PROCESS,
    "purge": "it would delete jobs that somebody waits for; to delete jobs, purge the queue at the broker",
    "queues": _ALL_QUEUES,
    "exclude_queues": _ALL_QUEUES,
    "include": "a worker runs only the task calls.verify",
    "heartbeat_interval": "a worker sends no Celery events; use /livez",
    "autoscale": "set the most calls in flight with -c or CONCURRENCY",
    "beat": _NO_BEAT,
    "schedule_filename": _NO_BEAT,
    "scheduler": _NO_BEAT,
}

POOLS = ("threads",)
POOL = "leave it out: the pool is threads, and all calls share one thread, up to -c at once"

GLOBAL_REFUSED: Mapping[str, str] = {
    "result_backend": "there are no Celery results; use the results queue or `callworker job`",
    "loader": "the app has its own",
    "config": "settings are environment variables, which docs/reference/settings.md lists",
}
"""Options of `celery` itself, before the command."""

_REMOTE = "workers have no remote control, because it would show arguments with PINs; use"
COMMANDS: Mapping[str, str] = {
    "inspect": f"{_REMOTE} /livez, /readyz and /metrics of each, `callworker accounts` and `callworker job`",
    "status": f"{_REMOTE} /livez and /readyz of each",
    "control": f"{_REMOTE} signals, `callworker accounts hold` and `resume`",
    "events": "workers send no Celery events; use /metrics and `callworker results`",
    "flower": "Flower sees neither workers nor jobs here; use /metrics and Grafana, or `callworker accounts`",
    "list": "use the broker's own tools, `callworker accounts` or queue_depth in /metrics",
    "graph": f"{_REMOTE} /metrics of each",
    "beat": "there are no periodic tasks here",
    "result": "there are no Celery results; use `callworker job` or the results queue",
    "purge": "it would delete jobs that somebody waits for; to delete jobs, purge the queue at the broker",
    "multi": _NO_DETACH,
}
"""Commands of `celery -A worker.app` that would get no answer, or do harm."""


class Given(NamedTuple):
    """An option as it was given: its spelling, and its value before any conversion."""

    spelled: str
    value: str


class Judge(click.Option):
    """A hidden option of every command. It is read before all others, and refuses each option that is not obeyed.

    Celery adds an app's own options to its commands (`user_options["preload"]`). This one looks at the words as they
    were given, because converting them would import the pool that may be refused.
    """

    def __init__(self) -> None:
        super().__init__(
            ["--judged-by-callworker"], hidden=True, is_eager=True, expose_value=False, is_flag=True
        )

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """End the program with status 2 and a line for each refused word, if there is any."""
        if ctx.resilient_parsing:
            return super().handle_parse_result(ctx, opts, args)
        given = dict(_given(ctx, opts)) if ctx.command.name == "worker" else {}
        lines = list(_refusals(ctx, given, args))
        for line in lines:
            click.echo(f"callworker: {line}", err=True)
        if lines:
            ctx.exit(2)
        if "loglevel" in given:
            _set_level(ctx.obj.app, given["loglevel"].value)
        return super().handle_parse_result(ctx, opts, args)


def _refusals(ctx: click.Context, given: Mapping[str, Given], args: list[str]) -> Iterator[str]:
    name = ctx.command.name or ""
    if name in COMMANDS:
        yield f"celery {name}: {COMMANDS[name]}"
    if name != "worker":
        return
    if ctx.parent is not None:
        yield from _of_program(ctx.parent)
    for name, option in given.items():
        if problem := _problem(name, option.value):
            yield f"{option.spelled}: {problem}"
    for word in args:
        yield f"{word}: is not an option; settings are environment variables, which docs/reference/settings.md lists"


def _of_program(ctx: click.Context) -> Iterator[str]:
    for parameter in ctx.command.params:
        name = parameter.name or ""
        source = ctx.get_parameter_source(name)
        if name in GLOBAL_REFUSED and source is click.core.ParameterSource.COMMANDLINE:
            yield f"{'/'.join(parameter.opts)}: {GLOBAL_REFUSED[name]}"


def _given(ctx: click.Context, opts: Mapping[str, Any]) -> Iterator[tuple[str, Given]]:
    """Yield each option that was given on the command line or as a variable, with its name."""
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name in opts:
            yield name, Given("/".join(parameter.opts), str(opts[name]))
        elif (value := parameter.value_from_envvar(ctx)) is not None:
            yield name, Given(f"{ctx.auto_envvar_prefix}_{name.upper()}", str(value))


def _problem(option: str, value: str) -> str | None:
    if option == "pool":
        return None if value in POOLS else POOL
    if option == "concurrency":
        return _breach("CONCURRENCY", value)
    if option == "loglevel":
        return _breach("LOG_LEVEL", _level(value))
    return REFUSED.get(option)


def _breach(variable: str, value: str) -> str | None:
    """Say what is wrong with the value of an option that sets a setting."""
    line = Settings.valid_part({variable: value})[1].get(variable)
    return line.removeprefix(f"{variable}: ") if line else None


def _level(word: str) -> str:
    return LEVELS.get(word.upper(), word)


def _set_level(app: Any, word: str) -> None:
    settings, _ = Settings.valid_part({"LOG_LEVEL": _level(word)})
    app.log_from(settings.log_level)
