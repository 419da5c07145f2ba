"""`python -m tests.faults.storm`: many jobs, while workers and servers are killed at random; a row for each broker."""

from __future__ import annotations

import argparse
import random
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.faults.bench import Bench
from tests.faults.report import Row, markdown, sentence
from tests.faults.run import Run

JOBS = 20_000
WORKERS = 4
KILL_SERVER = 0.2
"""How many of the kills hit a server instead of a worker."""

AWAY_SECONDS = 5.0
PAUSE_SECONDS = (0.2, 3.0)
DRAINED_WITHIN_SECONDS = 600.0


def main() -> int:
    """Print the rows. Return 1 if anything was lost, doubled, too fast, or not drained."""
    asked = _arguments()
    rows = [_storm(broker, asked.jobs, asked.seed) for broker in asked.brokers]
    table = markdown(rows, "Storms")
    print(table)
    if asked.write is not None:
        asked.write.write_text(table, encoding="utf-8")
    return 1 if any(row.bad or not row.drains for row in rows) else 0


def _storm(broker: str, jobs: int, seed: int) -> Row:
    chance, row = random.Random(seed), Row(broker, f"storm of {jobs} jobs")
    with Bench(broker, forking=False) as bench, bench.run() as run, ThreadPoolExecutor(1) as producer:
        run.fleet.stand(WORKERS)
        sending = producer.submit(run.send, jobs)
        while not sending.done() or len(run.bench.oracle.missing(run.jobs)) > jobs // 10:
            run.pause(*PAUSE_SECONDS)
            _kill(run, chance)
            row.trials += 1
            _raise_early(sending)
        run.repair()
        run.drain(DRAINED_WITHIN_SECONDS)
        row.take(run.judge(), run.drains, run.fleet.deaths)
    print(sentence(row), *row.verdict.details[:20], sep="\n", flush=True)
    return row


def _kill(run: Run, chance: random.Random) -> None:
    servers = [server for server in (run.bench.redis, run.bench.rabbit) if server is not None]
    if chance.random() < KILL_SERVER:
        server = chance.choice(servers)
        server.restart(server.kill, chance.uniform(0, AWAY_SECONDS))
    else:
        run.fleet.kill_one()


def _raise_early(sending: Future[None]) -> None:
    if sending.done():
        sending.result()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm", description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS, metavar="N", help=f"default {JOBS}")
    parser.add_argument(
        "--broker", dest="brokers", action="append", choices=("redis", "amqp"), help="default both"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the table here")
    parser.add_argument("--seed", type=int, default=1, help="of the kills; default 1")
    asked = parser.parse_args()
    asked.brokers = asked.brokers or ["redis", "amqp"]
    return asked


if __name__ == "__main__":
    sys.exit(main())
