"""`python -m ops.bench`: the table of callworker and its peers, and measurements of callworker alone."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.bench import (
    accounts,
    ceiling,
    comparison,
    division,
    environments,
    fairness,
    idle,
    machine,
    memory,
    pacing,
    parking,
    producers,
    release,
    scrape,
    size,
    stalls,
    standing,
    webhooks,
)
from ops.bench.contenders import CONTENDERS
from ops.bench.trial import Case

BROKERS = ("redis", "amqp")

Measure = Callable[[argparse.Namespace], tuple[str, dict[str, Any]]]


def main() -> int:
    """Measure what is asked for, print it, and write the report."""
    asked = _arguments()
    # A signal that ends the program must not leave servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    measure: Measure = asked.measure
    text, data = measure(asked)
    print(text)
    path = asked.json or machine.default_path(asked.command)
    options = {name: value for name, value in vars(asked).items() if name not in ("measure", "json")}
    machine.write(path, options, data)
    print(f"\nreport: {path}", file=sys.stderr)
    return 0


def _table(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    cases = [
        Case(latency_ms, processes, asked.jobs, asked.warmup)
        for latency_ms in asked.latency
        for processes in asked.processes
    ]
    return comparison.report(comparison.Plan(asked.rounds, cases, asked.broker, asked.only))


def _idle(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return idle.measure(asked.jobs, asked.broker)


def _parking(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return parking.measure(asked.jobs, asked.accounts, asked.broker)


def _fairness(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return fairness.measure(asked.jobs, asked.broker)


def _producers(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return producers.measure(asked.jobs, asked.brokers)


def _release(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return release.measure(asked.accounts, asked.releases)


def _ceiling(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return ceiling.measure(asked.jobs, asked.batches, asked.rounds)


def _pacing(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return pacing.measure(asked.accounts, asked.rate, asked.seconds, asked.broker)


def _scrape(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return scrape.measure(asked.accounts, asked.waiting, asked.seconds)


def _stalls(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return stalls.measure(asked.calls, asked.seconds, asked.broker)


def _division(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return division.measure(asked.jobs, asked.broker)


def _webhooks(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return webhooks.measure(asked.deliveries, asked.rounds, asked.events, asked.waiting)


def _accounts(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return accounts.measure(asked.accounts)


def _standing(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return standing.measure(asked.jobs, asked.accounts)


def _memory(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return memory.measure(asked.jobs)


def _size(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return size.measure(asked.brokers, asked.rates, asked.seconds)


def _environments(_: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    peers = sorted({each.environment for each in CONTENDERS if each.environment})
    environments.prepare(peers)
    return "\n".join(str(environments.python_of(peer)) for peer in peers), {}


@dataclass(frozen=True)
class Option:
    """An option of a command. The type of its default says how a value is read; a list is separated by commas."""

    name: str
    default: Any
    metavar: str | None
    told: str | None
    choices: Sequence[str] | None = None

    @property
    def reader(self) -> Callable[[str], Any]:
        """The function that makes a value from a text. It raises ValueError."""
        return self._list if isinstance(self.default, list) else type(self.default)

    def _list(self, text: str) -> list[Any]:
        return [type(self.default[0])(part) for part in text.split(",")]


@dataclass(frozen=True)
class Command:
    """One kind of measurement."""

    name: str
    measure: Measure
    told: str
    options: Sequence[Option] = ()


BROKER = Option("--broker", "redis", None, None, choices=BROKERS)

COMMANDS = (
    Command("table", _table, "throughput and cost beside the peers", (
        Option("--rounds", 5, "N", "default 5"),
        Option("--jobs", 4000, "N", "in each trial; default 4000"),
        Option("--warmup", 200, "N", "jobs before, for each worker; default 200"),
        Option("--latency", [0, 200], "MS,…", "of the provider; default 0,200"),
        Option("--processes", [1, 2], "N,…", "workers at once; default 1,2"),
        Option("--only", ["*"], "NAMES", "as '*bare,callworker'"),
        BROKER,
    )),
    Command("division", _division, "how the CPU time of a job divides among the worker's threads", (
        Option("--jobs", 10_000, "N", "in each trial; default 10000"),
        BROKER,
    )),
    Command("idle", _idle, "latency from enqueued to request sent, with an idle worker", (
        Option("--jobs", 500, "N", "default 500"),
        BROKER,
    )),
    Command("parking", _parking, "jobs per second into lanes, and Redis' memory for each", (
        Option("--jobs", 20_000, "N", "default 20000"),
        Option("--accounts", [1, 100], "N,…", "default 1,100"),
        BROKER,
    )),
    Command("fairness", _fairness, "latency of a job behind another account's flood", (
        Option("--jobs", 100_000, "N", "in the flood; default 100000"),
        BROKER,
    )),
    Command("release", _release, "what a release costs, by the number of accounts", (
        Option("--accounts", [10, 1000, 100_000, 1_000_000], "N,…", "default 10,1000,100000,1000000"),
        Option("--releases", 5000, "N", "default 5000"),
    )),
    Command("standing", _standing, "a large backlog: put on record, Redis started again with it, and worked off", (
        Option("--jobs", 3_000_000, "N", "default 3000000"),
        Option("--accounts", 1_000_000, "N", "default 1000000"),
    )),
    Command("ceiling", _ceiling, "one Redis at its limit: jobs per second, and what its time goes into", (
        Option("--jobs", 4000, "N", "in each round, each of another account; default 4000"),
        Option("--batches", [16, 64], "N,…", "jobs in a round trip; default 16,64"),
        Option("--rounds", 5, "N", "of which the best counts, for each step; default 5"),
    )),
    Command("memory", _memory, "bytes of Redis that a job takes, by what it does", (
        Option("--jobs", 100_000, "N", "of each kind; default 100000"),
    )),
    Command("accounts", _accounts, "start, memory and commands of a worker, by the number of accounts", (
        Option("--accounts", [100, 10_000, 50_000], "N,…", "default 100,10000,50000"),
    )),
    Command("pacing", _pacing, "how far limits are used and how late slots are met", (
        Option("--accounts", [1, 100, 10_000], "N,…", "default 1,100,10000"),
        Option("--rate", 200, "N", "requests per second of all together; default 200"),
        Option("--seconds", 20.0, "S", "at least; default 20"),
        BROKER,
    )),
    Command("scrape", _scrape, "what a scrape of the metrics costs, by the number of accounts", (
        Option("--accounts", [10, 100, 1000, 10_000], "N,…", "all in use; default 10,100,1000,10000"),
        Option("--waiting", 0.1, "SHARE", "of them with a job that waits; default 0.1"),
        Option("--seconds", 30.0, "S", "at a limit, alone and then scraped; default 30"),
    )),
    Command("size", _size, "each figure of `callworker size` beside what real loads take", (
        Option("--brokers", ["redis", "amqp"], "NAME,…", "default redis,amqp"),
        Option("--rates", [10.0, 50.0, 200.0], "N,…", "jobs a second; default 10,50,200"),
        Option("--seconds", 20.0, "S", "of each load; default 20"),
    )),
    Command("producers", _producers, "what it costs a program to send jobs, in each way", (
        Option("--jobs", 10_000, "N", "in batches; a fifth one by one; default 10000"),
        Option("--brokers", ["redis", "amqp"], "NAME,…", "default redis,amqp"),
    )),
    Command("stalls", _stalls, "other accounts, memory and shutdown while many calls hang", (
        Option("--calls", 2000, "N", "that hang at once; default 2000"),
        Option("--seconds", 30, "S", "until they are given up; default 30"),
        BROKER,
    )),
    Command("webhooks", _webhooks, "deliveries per second and their cost, and endpoints that hang beside others", (
        Option("--deliveries", 10_000, "N", "that wait for one endpoint; default 10000"),
        Option("--rounds", 3, "N", "default 3"),
        Option("--events", 500, "N", "for a good endpoint, alone and beside the others; default 500"),
        Option("--waiting", 1000, "N", "deliveries at each endpoint that hangs; default 1000"),
    )),
    Command("environments", _environments, "make the peers' environments and nothing else"),
)  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS:
        one = commands.add_parser(command.name, help=command.told, description=command.told)
        one.set_defaults(measure=command.measure)
        one.add_argument("--json", type=Path, metavar="FILE", help="the report; default under ops/bench/out/")
        for option in command.options:
            one.add_argument(
                option.name,
                type=option.reader,
                default=option.default,
                metavar=option.metavar,
                help=option.told,
                choices=option.choices,
            )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
