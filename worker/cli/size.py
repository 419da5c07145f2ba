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

TTL_SECONDS: int = Account.model_fields["ttl"].default
PEAK_TIMES = 2

_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/([smhd])")
_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MEMORY = re.compile(r"([1-9][0-9]{0,8})(mb|gb)", re.IGNORECASE)
_MEMORY_UNITS = {"mb": 1024**2, "gb": 1024**3}

NOTE = (
    "Bytes are nearly exact. CPU was measured on one machine: expect half or twice as much on yours, and less if jobs "
    "come in bursts. Jobs that wait for a limit, long ids and long notes take more. "
    "docs/explanation/what-breaks-first.md says what is seen at each limit."
)


class Rate(click.ParamType):
    """A number of jobs per second, minute, hour or day, as jobs a second."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read `50/s`, `3000/m`, `0.5/s`. Fails for all else."""
        if isinstance(value, float):
            return value
        found = _RATE.fullmatch(str(value))
        if found is None or not float(found[1]):
            self.fail("must be a rate above 0 such as 50/s, 3000/m, 20000/h or 1000000/d", param, ctx)
        return float(found[1]) / _PERIODS[found[2]]


class Memory(click.ParamType):
    """An amount of memory as Redis reads it, in bytes."""

    name = "memory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read `512mb` or `4gb`, which are multiples of 1024. Fails for all else."""
        if isinstance(value, int):
            return value
        found = _MEMORY.fullmatch(str(value))
        if found is None:
            self.fail("must be a memory size such as 512mb or 4gb", param, ctx)
        return int(found[1]) * _MEMORY_UNITS[found[2].lower()]


_OVER_ZERO = click.FloatRange(min=0, min_open=True)
_COUNT = click.IntRange(1, 100_000_000)

OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--rate", type=Rate(), required=True, help="Jobs, in the mean of a day: 50/s, 3000/m, 20000/h or 1000000/d."),
    click.option("--peak", type=Rate(), help="Jobs in the busiest minute. [default: twice --rate]"),
    click.option("--accounts", type=_COUNT, default=1, show_default=True, help="Accounts in the accounts file."),
    click.option("--backlog", type=click.IntRange(min=0), help="The most jobs that may wait at once. [default: 10 minutes of the peak, as long as a job waits at most by default]"),
    click.option("--provider-seconds", type=_OVER_ZERO, default=1.0, show_default=True, help="How long the provider needs for a call, in the mean."),
    click.option("--attempts", type=click.FloatRange(1, 100), default=1.0, show_default=True, help="Attempts of a job, in the mean."),
    click.option("--webhooks", type=click.FloatRange(0, 100), default=0.0, show_default=True, help="Webhooks that get the event of a job, in the mean."),
    click.option("--broker", type=click.Choice(("redis", "amqp")), help="The broker. [default: that of BROKER_URL]"),
    click.option("--retention", metavar="SPAN", help="How long ended jobs are known, as 7d. [default: LEDGER_RETENTION]"),
    click.option("--replay", metavar="SPAN", help="How long events can be sent to webhooks again, as 2d. [default: WEBHOOK_REPLAY]"),
    click.option("--after", metavar="SPAN", help="Show what is reached so long after the start with an empty Redis, as 10m. [default: the lasting state]"),
    click.option("--workers", type=click.IntRange(1, 10_000), help="Workers that there are. [default: as many as needed]"),
    click.option("--concurrency", type=click.IntRange(1, 10_000), help="CONCURRENCY of each. [default: as needed]"),
    click.option("--maxmemory", type=Memory(), help="`maxmemory` of Redis, as 4gb. [default: as needed]"),
)  # fmt: skip


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(OPTIONS):
        function = option(function)
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

    peak = given["peak"] or PEAK_TIMES * given["rate"]
    if peak < given["rate"]:
        raise click.UsageError("--peak must not be below --rate")
    named = settings.broker_url is not None and over_amqp(settings.broker_url)
    backlog = given["backlog"]
    return Demand(
        per_second=given["rate"],
        peak_per_second=peak,
        accounts=given["accounts"],
        backlog=round(peak * TTL_SECONDS) if backlog is None else backlog,
        retention_seconds=_seconds(given["retention"], "--retention", settings.retention_seconds),
        replay_seconds=_seconds(given["replay"], "--replay", settings.replay_seconds),
        webhooks=given["webhooks"],
        provider_seconds=given["provider_seconds"],
        attempts=given["attempts"],
        rabbitmq=named if given["broker"] is None else given["broker"] == "amqp",
        results_backlog=settings.results_backlog,
        webhooks_in_flight=settings.webhooks_in_flight,
        metrics_accounts=settings.metrics_accounts,
        after_seconds=_seconds(given["after"], "--after", float("inf")),
        workers=given["workers"],
        concurrency=given["concurrency"],
        max_memory_bytes=given["maxmemory"],
    )


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
    per = f" in {span(period_seconds(demand))}" if period_seconds(demand) < sizing.DAY_SECONDS else " a day"
    rows = (
        (one.part, one.what, _shown(one) + per * (one.name in ("redis_file_bytes", "log_bytes")), one.because)
        for one in found
    )
    first = ((_rate(one.per_second), one.what, one.alert, one.cure) for one in limits)
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
            return _rate(one.value)
        case _:
            return f"{one.value:,.0f}"


def _bytes(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value / 1e3:,.1f} kB"


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.2g}/s"
