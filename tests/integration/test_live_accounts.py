"""The accounts file changes under a running worker: limits, accounts, keys and webhooks, judged from outside."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.outside import new_job
from tests.integration.receiver import Receiver, local_hook
from tests.integration.stack import Stack, Worker, accounts_toml, api_key, key_name
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.configuration.replacing import rewrite
from worker.core.accounts import Accounts
from worker.sandbox import Sandbox
from worker.state import keys

SLOW, FAST = {"rate": "1/h", "burst": 1}, {"rate": "200/s", "burst": 100}
SECRET = "whsec_" + "bGl2ZSBhY2NvdW50cyBmaWxl" * 2


@dataclass(frozen=True)
class Scene:
    """An installation with one worker, and files that its operator changes."""

    stack: Stack
    sandbox: Sandbox
    receiver: Receiver
    worker: Worker
    folder: Path

    def write(self, text: str) -> None:
        """Replace the accounts file in one step."""
        rewrite(self.folder / "accounts.toml", lambda _: text)

    def use(self, reloads: int, **accounts: dict[str, Any]) -> None:
        """Write these accounts, and wait until the worker uses the file, its `reloads`th."""
        self.write(accounts_toml(accounts))
        wait_until(lambda: len(self.worker.told("accounts.reloaded")) == reloads, "the file is in use")
        pace = Accounts.load(self.folder / "accounts.toml")["acme"].pace.packed()
        wait_until(lambda: self.pace() == pace, "its limits are declared")

    def pace(self) -> str:
        """Return the current limit of account acme for all workers."""
        found = self.stack.outside.redis.hget(f"{keys.prefix_of('acme')}limit:acme", "pace")
        return found.decode() if isinstance(found, bytes) else ""

    def send(self, *ids: str, account: str = "acme") -> None:
        self.stack.outside.plain(*(new_job(name, account) for name in ids))

    def types(self, *ids: str) -> set[str]:
        return {event["type"] for event in self.stack.outside.wait(ids).values()}

    def waiting(self, count: int) -> None:
        wait_until(lambda: self.worker.metric("jobs_waiting", account="acme") == count, f"{count} wait")


@pytest.fixture
def scene(tmp_path: Path, own_redis: RedisServer) -> Iterator[Scene]:
    url, accounts = own_redis.url, {"acme": SLOW, "initech": FAST}
    secrets = {"HOOK": SECRET, key_name("globex"): api_key("globex")}
    with (
        Sandbox() as sandbox,
        Receiver() as receiver,
        Stack(tmp_path, url, url, sandbox.url, accounts, **secrets) as stack,
    ):
        stack.outside.redis.flushall()
        yield Scene(stack, sandbox, receiver, stack.start("run"), tmp_path)


def test_a_changed_file_applies_to_a_running_worker(scene: Scene) -> None:
    """Jobs that wait follow a raised and a lowered rate; accounts and webhooks come and go; no job is lost."""
    waiting = [f"w{n}" for n in range(6)]
    scene.send(*waiting)
    scene.waiting(5)

    hook = local_hook(f"{scene.receiver.url}/new", secret_env="HOOK")
    scene.use(1, acme={**FAST, "webhooks": [hook]}, globex=FAST)
    assert scene.worker.told("accounts.reloaded")[0]["removed"] == "initech"
    assert scene.types(*waiting) == {"call.placed"}
    wait_until(lambda: len(scene.receiver.at("/new")) >= 5, "those that waited go to the new webhook")
    assert all(hook.signed_with(SECRET) for hook in scene.receiver.at("/new"))
    scene.send("g", account="globex")
    scene.send("i", account="initech")
    assert scene.types("g") == {"call.placed"}
    assert scene.stack.outside.wait(["i"])["i"]["data"]["error"]["code"] == "UNKNOWN_ACCOUNT"

    scene.use(2, acme=SLOW, initech=FAST)
    scene.send(*(f"x{n}" for n in range(6)))
    scene.waiting(5)
    scene.write(accounts_toml({"initech": FAST}))
    wait_until(lambda: len(scene.worker.told("accounts.reloaded")) == 3, "acme is gone")
    scene.send("back", account="initech")
    assert scene.types("back") == {"call.placed"}
    scene.waiting(5)
    scene.use(4, acme=FAST, initech=FAST)
    assert scene.types(*(f"x{n}" for n in range(6))) == {"call.placed"}
    rung = [served for served in scene.sandbox.requests() if served.rung]
    assert len(rung) == len({served.phone for served in rung}) == 14


def test_a_broken_file_is_refused_and_told(scene: Scene) -> None:
    """Each fault is named, and the calls go on; so it is with a key or secret that is not there."""
    broken = '[accounts.acme]\napi_key_env = "NO_SUCH_KEY"\nrate = "5/s"\nbursts = 3\n'
    scene.write(broken)
    wait_until(lambda: bool(scene.worker.told("accounts.refused")), "it is refused")
    scene.write(broken.replace("bursts = 3", ""))
    wait_until(lambda: len(scene.worker.told("accounts.refused")) == 2, "it is refused again")
    problems = [" ".join(line["problems"]) for line in scene.worker.told("accounts.refused")]
    assert "accounts.acme.bursts" in problems[0] and "NO_SUCH_KEY" in problems[1]
    assert scene.worker.metric("accounts_file_refused") == 1
    scene.send("still", account="initech")
    assert scene.types("still") == {"call.placed"}


def test_a_signal_has_keys_and_secrets_checked(scene: Scene) -> None:
    """SIGHUP reads the files that the accounts file names, though that file has not changed."""
    key = scene.folder / "key"
    key.write_text(api_key("initech"))
    file = accounts_toml({"acme": SLOW, "initech": FAST})
    named = f'api_key_env = "{key_name("initech")}"'
    scene.write(file.replace(named, f'api_key_file = "{key}"'))
    wait_until(lambda: bool(scene.worker.told("accounts.reloaded")), "the file is in use")
    key.write_text("")
    scene.worker.process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(scene.worker.told("accounts.refused")), "the empty key is told")
    key.write_text(new := api_key("another"))
    scene.worker.process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(scene.worker.told("accounts.unchanged")), "the new key is good")
    scene.send("j", account="initech")
    assert scene.types("j") == {"call.placed"} and new not in scene.worker.output
