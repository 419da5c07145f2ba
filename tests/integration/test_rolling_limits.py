"""A limit that a rolling deploy lowers, with workers of both accounts files at once, judged by the provider's log."""

from __future__ import annotations

import bisect
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.integration.outside import new_job
from tests.integration.stack import Stack, Worker, accounts_toml
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.core.accounts import Accounts
from worker.sandbox import Sandbox
from worker.state import keys

pytestmark = pytest.mark.alone

BEFORE, LOWERED = {"rate": "50/s", "burst": 10}, {"rate": "3/s", "burst": 1}
JOBS = 10


@dataclass(frozen=True)
class Deploy:
    """An installation whose accounts file is being replaced."""

    stack: Stack
    sandbox: Sandbox
    lowered: Path

    @property
    def first(self) -> Path:
        return Path(self.stack.environ["ACCOUNTS_FILE"])

    def begin(self) -> tuple[Worker, Worker]:
        """A worker of the first file, then one of the lowered limit, which is in force."""
        old = self.stack.start("run")
        wait_until(lambda: self.pace() == self.pace_of(self.first), "the first limit is declared")
        new = self.stack.start("run", ACCOUNTS_FILE=str(self.lowered))
        wait_until(lambda: self.pace() == self.pace_of(self.lowered), "the limit is lowered")
        return old, new

    def pace(self) -> str:
        """Return the current limit of account acme for all workers."""
        with redis.Redis.from_url(self.stack.redis_url) as client:
            found = client.hget(f"{keys.prefix_of('acme')}limit:acme", "pace")
            return found.decode() if isinstance(found, bytes) else ""

    def pace_of(self, file: Path) -> str:
        return Accounts.load(file)["acme"].pace.packed()


@pytest.fixture
def deploy(tmp_path: Path, own_redis: RedisServer) -> Iterator[Deploy]:
    lowered = tmp_path / "lowered.toml"
    lowered.write_text(accounts_toml({"acme": LOWERED}))
    url = own_redis.url
    with Sandbox() as sandbox, Stack(tmp_path, url, url, sandbox.url, {"acme": BEFORE}) as stack:
        yield Deploy(stack, sandbox, lowered)


def test_the_newest_file_wins_whoever_admits_last(deploy: Deploy) -> None:
    """An old worker admits by the new limit, also one that starts again; each worker tells that files differ (B7)."""
    old, new = deploy.begin()
    wait_until(lambda: old.metric("accounts_files") == new.metric("accounts_files") == 2, "both tell of it")

    new.process.send_signal(signal.SIGSTOP)
    jobs = [new_job(f"late-{n}") for n in range(JOBS)]
    deploy.stack.outside.stream(*jobs)
    deploy.stack.outside.wait(job["id"] for job in jobs)
    new.process.send_signal(signal.SIGCONT)
    moments = sorted(served.unix for served in deploy.sandbox.requests())
    assert len(moments) == JOBS
    # Four are allowed, and two more may come late on a busy machine. By the first file all ten come together.
    assert max(bisect.bisect_right(moments, moment + 1.0) - n for n, moment in enumerate(moments)) <= 6

    old.kill()
    again = deploy.stack.start("run")
    deploy.stack.outside.stream(new_job("again"))
    deploy.stack.outside.wait(["again"])
    assert deploy.pace() == deploy.pace_of(deploy.lowered)
    wait_until(lambda: bool(again.told("accounts.files_differ")), "it tells that files differ")


@pytest.mark.endurance
def test_the_old_limit_is_in_force_again_once_no_worker_has_the_new_file(deploy: Deploy) -> None:
    """The old limit applies again after a rollback, and the old worker logs that all files agree (B7)."""
    old, new = deploy.begin()
    wait_until(lambda: bool(old.told("accounts.files_differ")), "it tells that files differ")
    new.terminate()
    assert new.exit_status() == 0
    wait_until(lambda: deploy.pace() == deploy.pace_of(deploy.first), "the limit is the old one again")
    wait_until(lambda: old.metric("accounts_files") == 1, "one file is in use")
    wait_until(lambda: bool(old.told("accounts.files_agree")), "it tells that files agree")
