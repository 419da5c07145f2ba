"""`callworker size`: what an installation needs for a load, and which limit it meets first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from worker.cli import moments
from worker.cli.output import console, example, json_option, print_json, span, table
from worker.core import sizing
from worker.core.accounts import Account
from worker.core.ceilings import Ceiling, ceilings
from worker.core.estimate import Figure, figures, period_seconds
from worker.core.sizing import Demand
from worker.settings import Settings

PARTS = {
    "worker": "workers",
    "redis": "Redis",
    "rabbitmq": "RabbitMQ",
    "log": "log",
    "prometheus": "Prometheus",
}
GROWING = ("redis_file_bytes", "log_bytes")
TTL_SECONDS: int = Account.model_fields["ttl"].default
PEAK_TIMES = 2

_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/([smhd])")
_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MEMORY = re.compile(r"([1-9][0-9]{0,8})(mb|gb)", re.IGNORECASE)
_MEMORY_UNITS = {"mb": 1024**2, "gb": 1024**3}

NOTE = (
    "Bytes are nearly exact. CPU was measured on one machine: expect half or twice as much on yours, and less if jobs "
    "come in bursts. Long ids and long notes take more. "
    "docs/explanation/what-breaks-first.md says what is seen at each limit."
)


_OVER_ZERO = click.FloatRange(0, 3600, min_open=True)
_ATTEMPTS, _WEBHOOKS = click.FloatRange(1, 100), click.FloatRange(0, 100)
_COUNT, _WORKERS = click.IntRange(1, 100_000_000), click.IntRange(1, 10_000)

OPTIONS: dict[str, dict[str, Any]] = {
    "--rate": {"metavar": "RATE", "required": True, "help": "Jobs in the mean of a day, as 50/s or 1000000/d."},
    "--peak": {"metavar": "RATE", "help": "Jobs in the busiest minute. [default: twice --rate]"},
    "--accounts": {"type": _COUNT, "default": 1, "show_default": True, "help": "Accounts in the accounts file."},
    "--backlog": {
        "type": click.IntRange(min=0),
        "help": "The most jobs that may wait at once. [default: 10 minutes of the peak, an account's default ttl]",
    },
    "--provider-seconds": {
        "type": _OVER_ZERO, "default": 1.0, "show_default": True, "help": "How long a call takes, in the mean.",
    },
    "--attempts": {
        "type": _ATTEMPTS, "default": 1.0, "show_default": True, "help": "Attempts that a job needs, in the mean.",
    },
    "--limited": {
        "type": click.FloatRange(0, 1),
        "default": 0.0,
        "show_default": True,
        "help": "The share of jobs that wait for the limit of their account, as 0.5.",
    },
    "--webhooks": {
        "type": _WEBHOOKS, "default": 0.0, "show_default": True, "help": "Webhooks that get an event, in the mean.",
    },
    "--broker": {"type": click.Choice(("redis", "amqp")), "help": "The broker. [default: that of BROKER_URL]"},
    "--retention": {"metavar": "SPAN", "help": "How long ended jobs are known, as 7d. [default: LEDGER_RETENTION]"},
    "--replay": {
        "metavar": "SPAN", "help": "How long events can be sent to webhooks again, as 2d. [default: WEBHOOK_REPLAY]",
    },
    "--after": {
        "metavar": "SPAN",
        "help": "Show what is reached so long after a start with an empty Redis, as 10m. [default: the lasting state]",
    },
    "--workers": {"type": _WORKERS, "help": "Workers that there are. [default: as many as needed]"},
    "--concurrency": {"type": _WORKERS, "help": "CONCURRENCY of each. [default: as needed]"},
    "--maxmemory": {"metavar": "SIZE", "help": "`maxmemory` of Redis, as 4gb. [default: as needed]"},
}  # fmt: skip


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name, option in reversed(OPTIONS.items()):
        function = click.option(name, **option)(function)
    return function


@click.command(
    epilog=example(
        "callworker size --rate 50/s --accounts 2000 --retention 7d",
        "callworker size --rate 200000/d --peak 20/s --webhooks 1 --maxmemory 4gb --broker amqp",
    )
)
@_with_options
@json_option
def command(as_json: bool, **given: Any) -> None:
    """Compute what a load needs: workers, Redis, RabbitMQ, disk, log, metrics; and which limit is met first.

    Connects to nothing. The figures were measured with a benchmark of this program.
    """
    demand = _demand(Settings.from_env(), given)
    found, limits = figures(demand), ceilings(demand, sizing.workers(demand))
    if as_json:
        print_json(_document(demand, found, limits))
    else:
        console().print(_for_people(demand, found, limits))


def _demand(settings: Settings, given: dict[str, Any]) -> Demand:
    from worker.broker.connection import over_amqp

    for name, value in given.items():
        if value != value:  # noqa: PLR0124 (click takes "nan" for a number in any range)
            raise click.UsageError(f"--{name.replace('_', '-')} must be a number")
    rate = _rate(given["rate"], "--rate")
    peak = _rate(given["peak"], "--peak") if given["peak"] else PEAK_TIMES * rate
    if peak < rate:
        raise click.UsageError("--peak must not be below --rate")
    named = settings.broker_url is not None and over_amqp(settings.broker_url)
    backlog = given["backlog"]
    return Demand(
        per_second=rate,
        peak_per_second=peak,
        accounts=given["accounts"],
        backlog=round(peak * TTL_SECONDS) if backlog is None else backlog,
        retention_seconds=_seconds(given["retention"], "--retention", settings.retention_seconds),
        replay_seconds=_seconds(given["replay"], "--replay", settings.replay_seconds),
        webhooks=given["webhooks"],
        provider_seconds=given["provider_seconds"],
        attempts=given["attempts"],
        limited=given["limited"],
        rabbitmq=named if given["broker"] is None else given["broker"] == "amqp",
        results_backlog=settings.results_backlog,
        webhooks_in_flight=settings.webhooks_in_flight,
        metrics_accounts=settings.metrics_accounts,
        after_seconds=_seconds(given["after"], "--after", float("inf")),
        workers=given["workers"],
        concurrency=given["concurrency"],
        max_memory_bytes=_memory(given["maxmemory"]) if given["maxmemory"] else None,
    )


def _rate(text: str, option: str) -> float:
    """Return jobs a second. Raises UsageError, which names the option."""
    found = _RATE.fullmatch(text)
    if found is None or not float(found[1]):
        raise click.UsageError(f"{option} must be a rate above 0 such as 50/s, 3000/m, 20000/h or 1000000/d")
    return float(found[1]) / _PERIODS[found[2]]


def _memory(text: str) -> int:
    """Return bytes. As in Redis' settings, the units are multiples of 1024. Raises UsageError."""
    found = _MEMORY.fullmatch(text)
    if found is None:
        raise click.UsageError("--maxmemory must be a size such as 512mb or 4gb")
    return int(found[1]) * _MEMORY_UNITS[found[2].lower()]


def _seconds(text: str | None, option: str, otherwise: float) -> float:
    return otherwise if text is None else moments.span(text, option).total_seconds()


def _document(demand: Demand, found: Iterable[Figure], limits: Iterable[Ceiling]) -> dict[str, Any]:
    asked = {name: value for name, value in asdict(demand).items() if value != float("inf")}
    return {
        "demand": asked,
        "period_seconds": period_seconds(demand),
        "figures": {one.name: round(one.value, 3) for one in found},
        "limits": [
            {
                "name": one.name,
                "jobs_per_second": round(one.per_second, 3),
                "alert": one.alert,
                "cure": one.cure,
            }
            for one in limits
        ],
    }


def _for_people(demand: Demand, found: Iterable[Figure], limits: Iterable[Ceiling]) -> RenderableType:
    period = period_seconds(demand)
    per = " a day" if period == sizing.DAY_SECONDS else f" in {span(period)}"
    rows = (
        (PARTS[one.name.partition("_")[0]], one.what, _shown(one) + per * (one.name in GROWING), one.because)
        for one in found
    )
    first = ((_per_second(one.per_second), one.what, one.alert, one.cure) for one in limits)
    return Group(
        table(("part", "what", "figure", "follows from"), rows),
        Text("\nthe limit that is met first is at the top", style="bold"),
        table(("jobs at most", "limit", "alert", "what raises it"), first),
        Text(f"\n{NOTE}"),
    )


def _shown(one: Figure) -> str:
    if one.name == "redis_maxmemory_bytes":
        return f"{one.value / 1024**2:.0f}mb"
    match one.unit:
        case "bytes":
            return _bytes(one.value)
        case "cores":
            return f"{one.value:.2f} cores"
        case "per_second":
            return _per_second(one.value)
        case _:
            return f"{one.value:,.0f}"


def _bytes(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value / 1e3:,.1f} kB"


def _per_second(per_second: float) -> str:
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.2g}/s"
