"""`python -m ops.bench`: the table of callworker and its peers, and what is measured of callworker alone."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.bench import (
    comparison,
    division,
    environments,
    fairness,
    idle,
    machine,
    pacing,
    parking,
    release,
    stalls,
)
from ops.bench.contenders import CONTENDERS
from ops.bench.trial import Case

BROKERS = ("redis", "amqp")

Measure = Callable[[argparse.Namespace], tuple[str, dict[str, Any]]]


def main() -> int:
    """Measure what is asked for, print it, and write the report."""
    asked = _arguments()
    # An end from outside must not leave servers behind.
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


def _release(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return release.measure(asked.accounts, asked.releases)


def _pacing(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return pacing.measure(asked.accounts, asked.rate, asked.seconds, asked.broker)


def _stalls(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return stalls.measure(asked.calls, asked.seconds, asked.broker)


def _division(asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    return division.measure(asked.jobs, asked.broker)


def _environments(_: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    peers = sorted({each.environment for each in CONTENDERS if each.environment})
    environments.prepare(peers)
    return "\n".join(str(environments.python_of(peer)) for peer in peers), {}


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, measure: Measure, told: str) -> Callable[..., argparse.Action]:
        one = commands.add_parser(name, help=told, description=told)
        one.set_defaults(measure=measure)
        one.add_argument("--json", type=Path, metavar="FILE", help="the report; default under ops/bench/out/")
        return one.add_argument

    option = command("table", _table, "throughput and cost beside the peers")
    option("--rounds", type=int, default=5, metavar="N", help="default 5")
    option("--jobs", type=int, default=4000, metavar="N", help="in each trial; default 4000")
    option("--warmup", type=int, default=200, metavar="N", help="jobs before, for each worker; default 200")
    option(
        "--latency", type=_numbers, default=[0, 200], metavar="MS,…", help="of the provider; default 0,200"
    )
    option("--processes", type=_numbers, default=[1, 2], metavar="N,…", help="workers at once; default 1,2")
    option(
        "--only",
        type=lambda text: text.split(","),
        default=["*"],
        metavar="NAMES",
        help="as '*bare,callworker'",
    )
    option("--broker", choices=BROKERS, default="redis")

    option = command("division", _division, "how the CPU time of a job divides among the worker's threads")
    option("--jobs", type=int, default=10_000, metavar="N", help="in each trial; default 10000")
    option("--broker", choices=BROKERS, default="redis")

    option = command("idle", _idle, "latency from enqueued to request sent, with an idle worker")
    option("--jobs", type=int, default=500, metavar="N", help="default 500")
    option("--broker", choices=BROKERS, default="redis")

    option = command("parking", _parking, "jobs per second into lanes, and Redis' memory for each")
    option("--jobs", type=int, default=20_000, metavar="N", help="default 20000")
    option("--accounts", type=_numbers, default=[1, 100], metavar="N,…", help="default 1,100")
    option("--broker", choices=BROKERS, default="redis")

    option = command("fairness", _fairness, "latency of a job behind another account's flood")
    option("--jobs", type=int, default=100_000, metavar="N", help="in the flood; default 100000")
    option("--broker", choices=BROKERS, default="redis")

    option = command("release", _release, "what a release costs, by the number of accounts")
    option(
        "--accounts",
        type=_numbers,
        default=[10, 1000, 100_000, 1_000_000],
        metavar="N,…",
        help="default 10,1000,100000,1000000",
    )
    option("--releases", type=int, default=5000, metavar="N", help="default 5000")

    option = command("pacing", _pacing, "how far limits are used and how late slots are met")
    option("--accounts", type=_numbers, default=[1, 100, 10_000], metavar="N,…", help="default 1,100,10000")
    option(
        "--rate", type=int, default=200, metavar="N", help="requests per second of all together; default 200"
    )
    option("--seconds", type=float, default=20.0, metavar="S", help="at least; default 20")
    option("--broker", choices=BROKERS, default="redis")

    option = command("stalls", _stalls, "other accounts, memory and shutdown while many calls hang")
    option("--calls", type=int, default=2000, metavar="N", help="that hang at once; default 2000")
    option("--seconds", type=int, default=30, metavar="S", help="until they are given up; default 30")
    option("--broker", choices=BROKERS, default="redis")

    command("environments", _environments, "make the peers' environments and nothing else")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
