"""An installation under load whose workers are replaced: Redis, RabbitMQ, the provider, a subscriber, two workers."""

from __future__ import annotations

import base64
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ops.rollout.arrivals import Arrivals
from ops.rollout.judging import Limit, in_force_after
from ops.rollout.load import SteadyLoad
from ops.rollout.releases import Version
from tests.faults.redis_server import Redis
from tests.faults.results import ResultsReader
from tests.faults.servers import Provider, Rabbit, ServerTrouble
from tests.faults.workers import Fleet, environ_for
from tests.integration.receiver import Hook, Receiver, local_hook
from tests.integration.stack import Worker, accounts_toml, api_key, key_name

ENDINGS = {"steady": "5555", "hooked": "5556", "slow": "0010", "limited": "5557"}
"""The last digits of each account's numbers: calls of `slow` take 2 s, those of all others end at once."""

RATES = {"steady": 12.0, "hooked": 6.0, "slow": 3.0}
PROMPT = ("steady", "hooked")
"""The accounts whose jobs wait for nothing but a worker. Only they are measured."""

LIMITED, HOOKED = "limited", "hooked"
WAITING = {LIMITED: 50}
FIRST_RATE, BURST = 5, 2
"""Calls per second of `limited` in the beginning, and its burst."""

SETTLED_SECONDS = 8.0
"""Within this time a changed limit must be in force. Workers look at their files each second, and report every 2 s."""

VARIABLE = "HOOK_SECRET"
SETTINGS = {"CONCURRENCY": "50", "PROXSTOP_TIMEOUT": "10", "SHUTDOWN_GRACE": "30", "TRACING": "links"}


@dataclass
class Member:
    """A worker, its version, and its accounts file, which no other worker reads."""

    worker: Worker
    version: Version
    accounts: Path


@dataclass
class Scene:
    """The installation. A context manager that starts it, without workers.

    `stops` has the seconds of each stop of a worker so far, `problems` what went wrong with workers and limits.
    """

    broker: str
    folder: Path
    members: list[Member] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    rate: int = FIRST_RATE
    limits: list[Limit] = field(default_factory=lambda: [Limit(0.0, FIRST_RATE, BURST)])

    def __enter__(self) -> Self:
        with ExitStack() as running:
            self._start(running)
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def launch(self, version: Version) -> Member:
        """Start one more worker, with the accounts as they are now; return once it is ready. Raises ServerTrouble."""
        accounts = self.folder / f"accounts-{next(self._numbers)}.toml"
        self._write(accounts)
        worker = self.fleet.launch("", version.spawn, ACCOUNTS_FILE=str(accounts))
        self.fleet.wait_until_ready(worker)
        if not worker.metric("build_info", version=version.name):
            raise ServerTrouble(f"a worker is not of version {version.name}: {worker.output[-2000:]}")
        self.members.append(Member(worker, version, accounts))
        return self.members[-1]

    def stop(self, member: Member) -> None:
        """End a worker with SIGTERM, and note how long it took."""
        began, stood = time.monotonic(), member.worker.process.poll() is None
        self.members.remove(member)
        status = self.fleet.retire(member.worker)
        self.stops.append(time.monotonic() - began)
        if not stood:
            self.problems.append(f"a worker of {member.version.name} ended by itself")
        elif status != 0:
            self.problems.append(f"a worker of {member.version.name} did not end well: status {status}")

    def replace(self, member: Member, version: Version, *, stop_first: bool = False) -> Member:
        """Put a worker in the place of another, started before or after the other one stops; return the new one."""
        if stop_first:
            self.stop(member)
            return self.launch(version)
        new = self.launch(version)
        self.stop(member)
        return new

    def become(self, versions: Sequence[Version]) -> None:
        """Replace workers, or start the first ones, until exactly these versions run."""
        surplus, missing = exchange([member.version for member in self.members], versions)
        members = [self.members[place] for place in surplus]
        for member, version in zip(members, missing, strict=False):
            self.replace(member, version)
        for version in missing[len(members) :]:
            self.launch(version)

    def change(self, rate: int, act: Callable[[], float]) -> str:
        """Let `limited` have this many calls per second from now on, and do with the workers what brings that about.

        `act` returns when the first worker had the new file (Unix seconds). Returns how long after that the limit was
        in force.
        """
        former, self.rate = self.limits[-1], rate
        if rate > former.requests:
            self.limits.append(Limit(time.time(), rate, BURST))
        changed = act()
        if rate < former.requests:
            self.limits.append(Limit(changed + SETTLED_SECONDS, rate, BURST))
        self.watch(SETTLED_SECONDS)
        seen = in_force_after(self.requests(LIMITED), changed, former.most, rate + BURST)
        if seen > SETTLED_SECONDS:
            self.problems.append(
                f"the limit of {rate} a second was not in force within {SETTLED_SECONDS:g} s"
            )
        return f"{former.requests} to {rate} a second: in force after {seen:.1f} s"

    def requests(self, account: str) -> list[float]:
        """Return when the provider got each request of an account so far (Unix seconds)."""
        phones = {job.phone for job in self.load.jobs if job.account == account}
        return sorted(request.unix for request in self.provider.served() if request.phone in phones)

    def rewrite(self, member: Member) -> None:
        """Put the accounts as they are now into the file of a worker that runs."""
        new = member.accounts.with_suffix(".new")
        self._write(new)
        new.replace(member.accounts)

    def watch(self, seconds: float) -> None:
        """Let the load go on. Raises ServerTrouble if it does not."""
        time.sleep(seconds)
        if self.load.fails:
            raise ServerTrouble("the load has ended")

    def drain(self, within_seconds: float) -> None:
        """Send nothing more, and wait until each job has its events, or the time is over; then for repeats of them."""
        self.load.stop()
        ends = time.monotonic() + within_seconds
        while self._missing() and time.monotonic() < ends:
            time.sleep(0.1)
        time.sleep(1.0)

    def tell(self, what: str) -> None:
        """Print a line of progress."""
        print(f"{self.broker}: {what}; {len(self.load.jobs)} jobs", file=sys.stderr, flush=True)

    def _missing(self) -> int:
        came, hooked = self.arrivals.queued, self.arrivals.hooked
        return sum(
            job.id not in came or (job.account == HOOKED and job.id not in hooked) for job in self.load.jobs
        )

    def _start(self, running: ExitStack) -> None:
        self._numbers, self.arrivals = itertools.count(1), Arrivals()
        self.redis = running.enter_context(Redis(self._subfolder("redis")))
        broker_url = self.redis.url
        if self.broker == "amqp":
            broker_url = running.enter_context(Rabbit(self._subfolder("rabbit"))).url
        self.provider = running.enter_context(Provider(self._subfolder("provider")))
        self._receiver = running.enter_context(Receiver(self.arrivals.hook))
        self._collector = running.enter_context(Receiver(self._collect))
        environ = environ_for(
            self.folder,
            REDIS_URL=self.redis.url,
            BROKER_URL=broker_url,
            PROXSTOP_URL=self.provider.url,
            OTEL_EXPORTER_OTLP_ENDPOINT=self._collector.url,
            **{VARIABLE: "whsec_" + base64.b64encode(b"0" * 24).decode()},
            **{key_name(name): api_key(name) for name in ENDINGS},
            **SETTINGS,
        )
        self.logs = self._subfolder("workers")
        self.fleet = running.enter_context(Fleet(self.logs, environ))
        running.enter_context(ResultsReader(broker_url, self.arrivals.queue))
        self.load = SteadyLoad(broker_url, RATES, WAITING, ENDINGS, self.arrivals.queued)
        running.callback(self.load.stop)

    def _collect(self, _: Hook) -> int:
        """Answer as a collector of spans does, and keep none."""
        self._collector.hooks.clear()
        return 200

    def _write(self, file: Path) -> None:
        accounts: dict[str, dict[str, Any]] = {
            name: {"rate": "60/s", "burst": 10, "concurrency": 40, "redials": 1} for name in ENDINGS
        }
        accounts[LIMITED] |= {"rate": f"{self.rate}/s", "burst": BURST}
        accounts[HOOKED]["webhooks"] = [local_hook(f"{self._receiver.url}/events", secret_env=VARIABLE)]
        file.write_text(accounts_toml(accounts), encoding="utf-8")

    def _subfolder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder


def exchange(running: Sequence[Version], wanted: Sequence[Version]) -> tuple[list[int], list[Version]]:
    """Return the places of those that are not wanted, and what is missing of what is wanted."""
    missing, surplus = list(wanted), []
    for place, version in enumerate(running):
        if version in missing:
            missing.remove(version)
        else:
            surplus.append(place)
    return surplus, missing
