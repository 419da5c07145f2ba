"""Webhooks as a subscriber sees them: signed, repeated until taken, and never in a call's way."""

from __future__ import annotations

import base64
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.outside import Outside, new_job
from tests.integration.receiver import Hook, Receiver, local_hook
from tests.integration.stack import Stack, Worker
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref, refuses
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.configuration.replacing import rewrite
from worker.configuration.secret_files import rotated

SECRETS = {
    f"HOOK_{n}": "whsec_" + base64.b64encode(f"a secret of sorts, number {n}".encode()).decode()
    for n in (1, 2)
}
SLOW_SECONDS = 60


class Answers:
    """/shaky refuses the first time, /slow answers once it is released, everyone else is content."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self._seen = Counter[str]()

    def __call__(self, hook: Hook) -> int:
        self._seen[hook.path] += 1
        if hook.path == "/slow":
            self.released.wait(SLOW_SECONDS)
        return 500 if hook.path == "/shaky" and self._seen[hook.path] == 1 else 204


def accounts(receiver: Receiver, secret_file: Path) -> dict[str, dict[str, Any]]:
    def hook(path: str, secret: str | list[str] = "HOOK_1", **more: Any) -> dict[str, Any]:
        return local_hook(f"{receiver.url}/{path}", secret_env=secret, **more)

    fast = {"rate": "200/s", "burst": 100}
    return {
        "loyal": {**fast, "webhooks": [hook("loyal"), hook("again", "HOOK_2")]},
        "rotating": {**fast, "webhooks": [hook("rotating", ["HOOK_1", "HOOK_2"])]},
        "picky": {**fast, "webhooks": [hook("picky", events=["call.failed", "call.rejected"])]},
        "shaky": {**fast, "webhooks": [hook("shaky")]},
        "slow": {**fast, "webhooks": [hook("slow")]},
        "guarded": {
            **fast,
            "webhooks": [hook("guarded", allow_insecure=False), hook("inside", allow_networks=[])],
        },
        "filed": {**fast, "webhooks": [local_hook(f"{receiver.url}/filed", secret_file=str(secret_file))]},
    }


def script(asked: Asked) -> Reply:
    return refuses("INVALID_TELEPHONE") if asked.phone.endswith("0001") else gives_ref()


@dataclass(frozen=True)
class Scene:
    """A worker and its subscribers."""

    receiver: Receiver
    answers: Answers
    outside: Outside
    worker: Worker
    secret_file: Path

    def hooks(self, path: str, count: int) -> list[Hook]:
        """The hooks at a path, once there are so many."""
        wait_until(lambda: len(self.receiver.at(path)) >= count, f"{count} hooks at {path}")
        return self.receiver.at(path)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, own_redis: RedisServer) -> Iterator[Scene]:
    folder, url, answers = tmp_path_factory.mktemp("stack"), own_redis.url, Answers()
    secret_file = folder / "filed.secrets"
    secret_file.write_text(f"{SECRETS['HOOK_1']}\n")
    with (
        Receiver(answers) as receiver,
        StandIn(script) as provider,
        Stack(folder, url, url, provider.url, accounts(receiver, secret_file), **SECRETS) as stack,
    ):
        yield Scene(receiver, answers, stack.outside, stack.start("celery"), secret_file)


def test_hook_is_the_event_byte_for_byte_and_signed(scene: Scene) -> None:
    """Each endpoint gets the bytes of the results queue, under the event's id, signed with its own secret."""
    job = new_job("loyal", "loyal", ref="Grüße")
    scene.outside.send(job)
    event = scene.outside.wait([job["id"]])[job["id"]]
    (first,), (second,) = scene.hooks("/loyal", 1), scene.hooks("/again", 1)
    assert first.body == second.body == scene.outside.delivered[job["id"]][0].body
    assert first.event_id == second.event_id == event["id"]
    assert first.signed_with(SECRETS["HOOK_1"]) and not first.signed_with(SECRETS["HOOK_2"])
    assert second.signed_with(SECRETS["HOOK_2"]) and not second.signed_with(SECRETS["HOOK_1"])
    assert abs(int(first.headers["webhook-timestamp"]) - first.unix) < 10
    assert first.headers["content-type"].startswith("application/json")


def test_rotating_secrets_both_sign(scene: Scene) -> None:
    """A subscriber that knows either of two listed secrets can check the hook."""
    scene.outside.send(new_job("rotating", "rotating"))
    (hook,) = scene.hooks("/rotating", 1)
    assert [hook.signed_with(secret) for secret in SECRETS.values()] == [True, True]
    assert len(hook.headers["webhook-signature"].split(" ")) == 2


def test_rotated_file_is_noticed_by_a_running_worker(scene: Scene) -> None:
    """The new secret signs beside the old one soon, with no restart, and neither is in the log."""
    scene.outside.send(new_job("filed-0", "filed"))
    (hook,) = scene.hooks("/filed", 1)
    assert hook.signed_with(SECRETS["HOOK_1"])
    until = datetime.now(UTC) + timedelta(days=1)
    rewrite(scene.secret_file, lambda text: rotated(text, SECRETS["HOOK_2"], datetime.now(UTC), until))

    def both() -> bool:
        count = len(scene.receiver.at("/filed"))
        scene.outside.send(new_job(f"filed-{count}", "filed"))
        hook = scene.hooks("/filed", count + 1)[-1]
        return all(hook.signed_with(secret) for secret in SECRETS.values())

    wait_until(both, "a hook with both signatures", 60)
    wait_until(lambda: "webhook.secrets_read" in scene.worker.output, "the log has it", 60)
    assert not any(secret.removeprefix("whsec_") in scene.worker.output for secret in SECRETS.values())


def test_endpoint_gets_the_events_it_asked_for(scene: Scene) -> None:
    """An endpoint that lists failures hears of a refused and a rejected job, not of a placed one."""
    jobs = [
        new_job("picky-placed", "picky"),
        new_job("picky-failed", "picky", phone="2125550001"),
        new_job("picky-rejected", "picky", code="1"),
    ]
    scene.outside.send(*jobs)
    events = scene.outside.wait(job["id"] for job in jobs)
    hooks = scene.hooks("/picky", 2)
    assert {hook.event_id for hook in hooks} == {events["picky-failed"]["id"], events["picky-rejected"]["id"]}


def test_refused_hook_comes_again_unchanged(scene: Scene) -> None:
    """After a 500 the same id and body come again some seconds later, under a new timestamp and its signature."""
    scene.outside.send(new_job("shaky", "shaky"))
    first, second = scene.hooks("/shaky", 2)
    assert (first.event_id, first.body) == (second.event_id, second.body)
    assert int(second.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    assert first.signed_with(SECRETS["HOOK_1"]) and second.signed_with(SECRETS["HOOK_1"])
    taken = {"account": "shaky", "result": "delivered"}
    wait_until(
        lambda: scene.worker.metric("webhook_attempts_total", **taken) == 1, "the hook counts as taken"
    )
    wait_until(lambda: scene.worker.metric("webhook_pending", account="shaky") == 0, "none is pending")


def test_hook_that_is_not_allowed_is_given_up_at_once(scene: Scene) -> None:
    """The worker runs, warns at its start of what the file shows, and names the rule; nothing is connected to."""
    scene.outside.send(new_job("guarded", "guarded"))
    scene.outside.wait(["guarded"])
    guarded = {"account": "guarded", "result": "guarded"}
    wait_until(lambda: scene.worker.metric("webhook_attempts_total", **guarded) == 2, "both are refused")
    wait_until(lambda: scene.worker.metric("webhook_pending", account="guarded") == 0, "none is pending")
    wait_until(lambda: scene.worker.output.count('"webhook.given_up"') >= 2, "the log says so", 60)
    assert all(f"guard_{rule}" in scene.worker.output for rule in ("scheme", "loopback"))
    assert '"webhook.not_allowed"' in scene.worker.output
    assert not scene.receiver.at("/guarded") and not scene.receiver.at("/inside")


def test_slow_subscriber_holds_up_no_call(scene: Scene) -> None:
    """An account's calls and results go on while none of its hooks is answered."""
    jobs = [new_job(f"slow-{n}", "slow") for n in range(40)]
    scene.outside.send(*jobs)
    scene.outside.wait(job["id"] for job in jobs)
    wait_until(lambda: bool(scene.receiver.at("/slow")), "a hook waits for its answer")
    assert scene.worker.metric("webhook_attempts_total", account="slow", result="delivered") == 0
    scene.answers.released.set()
