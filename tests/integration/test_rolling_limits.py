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

    def start_new(self) -> Worker:
        return self.stack.start("run", ACCOUNTS_FILE=str(self.lowered))

    def pace(self) -> str:
        """What the limit of account acme is at the moment, for all workers."""
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


@pytest.mark.timeout(180)
def test_the_newest_file_wins_whoever_admits_last(deploy: Deploy) -> None:
    """An old worker admits by the new limit, also one that starts again, and each worker tells that files differ (B7).

    Once no worker has the new file any more, as when a deploy is taken back, the old limit is in force again.
    """
    old = deploy.stack.start("run")
    wait_until(
        lambda: deploy.pace() == deploy.pace_of(Path(deploy.stack.environ["ACCOUNTS_FILE"])), "declared"
    )
    new, lowered = deploy.start_new(), deploy.pace_of(deploy.lowered)
    wait_until(lambda: deploy.pace() == lowered, "the limit is lowered", 5)
    wait_until(
        lambda: old.metric("accounts_files") == new.metric("accounts_files") == 2, "both tell of it", 10
    )

    new.process.send_signal(signal.SIGSTOP)
    jobs = [new_job(f"late-{n}") for n in range(JOBS)]
    deploy.stack.outside.stream(*jobs)
    deploy.stack.outside.wait((job["id"] for job in jobs), 12)
    new.process.send_signal(signal.SIGCONT)
    moments = sorted(served.unix for served in deploy.sandbox.requests())
    assert len(moments) == JOBS
    assert max(bisect.bisect_right(moments, moment + 1.0) - n for n, moment in enumerate(moments)) <= 4

    old.kill()
    again = deploy.stack.start("run")
    deploy.stack.outside.stream(new_job("again"))
    deploy.stack.outside.wait(["again"], 20)
    assert deploy.pace() == lowered and "accounts.files_differ" in again.output
    new.terminate()
    assert new.exit_status() == 0
    wait_until(lambda: deploy.pace() != lowered, "the limit is the old one again", 30)
    wait_until(lambda: again.metric("accounts_files") == 1 and "accounts.files_agree" in again.output, "told")
