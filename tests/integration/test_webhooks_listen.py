"""`callworker webhooks listen` as a process of its own, on both brokers, with a receiver that trusts nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.outside import new_job
from tests.integration.receiver import Hook, Receiver
from tests.integration.stack import Stack, accounts_toml
from tests.integration.stand_in import StandIn
from tests.processes import free_port, wait_until
from worker.delivery.ports import OutgoingEvent
from worker.delivery.reader import read_results
from worker.delivery.results import ResultsQueue

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
OTHER_SECRET = "whsec_" + "A" * 32
URL = "https://hooks.example.com"
ACCOUNTS = {
    "acme": {
        "rate": "1/s",
        "webhooks": [
            {"url": f"{URL}/1", "name": "orders", "secret_env": "ORDERS", "events": ["call.failed"]},
            {"url": f"{URL}/2", "name": "bills", "secret_env": ["BILLS_NEW", "BILLS"]},
        ],
    },
    "globex": {"rate": "1/s", "webhooks": [{"url": f"{URL}/3", "secret_env": "GLOBEX"}]},
}
WORDS = re.compile(r"(\S+)  (\S+) +(\S+)  (.+)  (\d+) ms")


def event(number: int, *, account: str = "acme", status: str = "placed") -> OutgoingEvent:
    """An event with number and account as they are in a real one."""
    data = {"id": f"order-{number}", "account": account, "note": "Grüße"}
    body = {"id": f"evt_{number}", "type": f"call.{status}", "data": data}
    return OutgoingEvent(f"call.{status}", json.dumps(body, ensure_ascii=False))


@dataclass(frozen=True)
class Listener:
    """The command under way, in a folder that holds what it prints."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def lines(self) -> list[str]:
        text = (self.folder / "out").read_text(encoding="utf-8")
        return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]

    @property
    def errors(self) -> str:
        return (self.folder / "err").read_text(encoding="utf-8")

    @property
    def secret(self) -> str:
        """The secret that it has made for this run."""
        (found,) = re.findall(r"whsec_[A-Za-z0-9+/]+=*", self.errors)
        return str(found)

    def wait_for_lines(self, count: int) -> list[str]:
        wait_until(lambda: len(self.lines) >= count, f"{count} lines, and not {self.lines}")
        return self.lines

    def said_no_more(self) -> bool:
        """Whether nothing follows the two lines of its start, but for the line break after ^C."""
        return len(self.errors.strip().splitlines()) == 2

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


class Scene:
    """A broker with a program that publishes events, and the environment of the command."""

    def __init__(self, folder: Path, broker_url: str, redis_url: str) -> None:
        self.folder, self.broker_url = folder, broker_url
        file = folder / "accounts.toml"
        file.write_text(accounts_toml(ACCOUNTS), encoding="utf-8")
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "BROKER_URL": broker_url,
            "REDIS_URL": redis_url,
            "ACCOUNTS_FILE": str(file),
        }

    def publish(self, *events: OutgoingEvent) -> None:
        with closing(ResultsQueue(self.broker_url)) as results:
            results.publish(events)

    @contextmanager
    def listening(self, url: str, *words: str, account: str = "acme", **environ: str) -> Iterator[Listener]:
        """Run the command until it waits for events; it has ended afterwards."""
        command = ["webhooks", "listen", account, "--forward", f"{url}/hook", *words]
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", *command],
                env=self.environ | environ,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        listener = Listener(process, self.folder)
        try:
            wait_until(
                lambda: process.poll() is not None or "waiting for events" in listener.errors, "it waits"
            )
            assert process.poll() is None, listener.errors
            yield listener
        finally:
            process.kill()
            process.wait(30)


@pytest.fixture(params=["redis", "amqp"])
def scene(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Scene:
    return Scene(tmp_path, str(request.getfixturevalue(f"{request.param}_url")), redis_url)


@pytest.fixture
def on_redis(tmp_path: Path, redis_url: str) -> Scene:
    return Scene(tmp_path, redis_url, redis_url)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(lambda hook: 500 if "order-3" in hook.body.decode() else 204) as receiver:
        yield receiver


def test_accounts_events_are_posted_and_told(scene: Scene, receiver: Receiver) -> None:
    """Only those of the account, in order, signed with the secret that is printed, and counted from 1. Each has a line,
    whatever the answer. Ctrl-C ends it with status 130 and nothing more to say; the results queue has lost nothing."""
    scene.publish(event(0))
    sent = [event(1), event(2, account="globex"), event(3, status="failed"), event(4)]
    with scene.listening(receiver.url) as listener:
        scene.publish(*sent, OutgoingEvent("call.placed", "no event"))
        lines = listener.wait_for_lines(3)
        told = [WORDS.fullmatch(line.strip()) for line in lines]
        assert [match and match.groups()[1:4] for match in told] == [
            ("call.placed", "order-1", "204"),
            ("call.failed", "order-3", "500"),
            ("call.placed", "order-4", "204"),
        ]
        assert listener.end() == 130
        assert listener.said_no_more() and len(listener.lines) == 3
    hooks = receiver.at("/hook")
    assert [hook.body.decode() for hook in hooks] == [sent[number].body for number in (0, 2, 3)]
    assert [hook.headers["callworker-sequence"] for hook in hooks] == ["1", "2", "3"]
    assert all(hook.signed_with(listener.secret) for hook in hooks)
    assert len(list(read_results(scene.broker_url))) == 6


def test_json_has_a_document_for_each(on_redis: Scene, receiver: Receiver) -> None:
    """Standard output holds nothing else. `--events` chooses types."""
    with on_redis.listening(
        receiver.url, "--json", "--events", "call.f*", "--events", "call.expired"
    ) as listener:
        on_redis.publish(event(1), event(3, status="failed"), event(5, status="expired"))
        found = [json.loads(line) for line in listener.wait_for_lines(2)]
    assert [(each["event_id"], each["status"], each["sequence"]) for each in found] == [
        ("evt_3", 500, 1),
        ("evt_5", 204, 2),
    ]
    assert found[0].keys() == {
        "time", "event_id", "type", "job", "sequence", "result", "status", "seconds", "cause", "problem"
    }  # fmt: skip


def test_endpoint_signs_and_selects(on_redis: Scene, receiver: Receiver) -> None:
    """With `--endpoint`, its secrets sign if the shell has them, and its events are posted. No secret is printed."""
    own = {"BILLS": SECRET, "BILLS_NEW": OTHER_SECRET, "ORDERS": SECRET}
    with on_redis.listening(receiver.url, "--endpoint", "bills", **own) as listener:
        on_redis.publish(event(1))
        listener.wait_for_lines(1)
        assert "signing as acme/bills" in listener.errors and "whsec_" not in listener.errors
    with on_redis.listening(receiver.url, "--endpoint", "orders", **own) as listener:
        on_redis.publish(event(2), event(4, status="failed"))
        listener.wait_for_lines(1)
    one, two = receiver.at("/hook")
    assert one.signed_with(SECRET) and one.signed_with(OTHER_SECRET)
    assert two.signed_with(SECRET) and two.event_id == "evt_4"


def test_only_endpoint_of_an_account_signs(on_redis: Scene, receiver: Receiver) -> None:
    """It need not be named. Without its secret in the shell, one is made for this run, and the line says why."""
    for environ in ({"GLOBEX": SECRET}, {}):
        with on_redis.listening(receiver.url, account="globex", **environ) as listener:
            on_redis.publish(event(1, account="globex"))
            listener.wait_for_lines(1)
            wait_until(lambda: bool(receiver.hooks), "the event came")
            expected = SECRET if environ else listener.secret
            assert receiver.hooks.pop().signed_with(expected)
    assert "GLOBEX" in listener.errors


def test_receiver_that_is_down_keeps_nothing_back(on_redis: Scene, receiver: Receiver) -> None:
    """Each event is tried once, its line says why there was no answer, and the command goes on."""
    port = free_port()
    with on_redis.listening(f"http://127.0.0.1:{port}") as listener:
        on_redis.publish(event(1), event(2))
        lines = listener.wait_for_lines(2)
        assert all("no answer: " in line and "refused" in line for line in lines)
        assert ["order-1" in lines[0], "order-2" in lines[1]] == [True, True]
        assert listener.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_it_while_the_receiver_hangs(on_redis: Scene, number: int) -> None:
    """Ctrl-C needs no answer of the receiver, prints no traceback, and leaves nothing in Redis."""
    asked, released = threading.Event(), threading.Event()

    def hang(hook: Hook) -> int:
        asked.set()
        released.wait(60)
        return 204

    with Receiver(hang) as slow, on_redis.listening(slow.url) as listener:
        on_redis.publish(event(1))
        assert asked.wait(60)
        assert listener.end(number) == 130
        released.set()
        assert listener.said_no_more(), listener.errors
    with redis.Redis.from_url(on_redis.broker_url) as client:
        keys: Any = client.keys("results.listen.*")
        bindings: Any = client.smembers("_kombu.binding.results")
        assert keys == [] and len(bindings) == 1


def test_broker_that_goes_away_ends_it(on_redis: Scene, receiver: Receiver) -> None:
    """The command says so in one line, with status 1."""
    with on_redis.listening(receiver.url) as listener:
        with redis.Redis.from_url(on_redis.broker_url) as client:
            client.flushall()
        assert listener.process.wait(60) == 1
        assert "the queue for the events is gone" in listener.errors.splitlines()[-1]


def test_subscriber_and_listener_both_get_the_event(scene: Scene, tmp_path: Path) -> None:
    """A real worker's event comes, in the same bytes, to the account's endpoint, queue `results` and the listener."""
    with Receiver(lambda hook: 204) as subscriber, Receiver(lambda hook: 204) as trial, StandIn() as provider:
        allowed = {
            "allow_insecure": True,
            "allow_ports": [subscriber.port],
            "allow_networks": ["127.0.0.0/8"],
        }
        hook = {"url": f"{subscriber.url}/hook", "secret_env": "HOOK", **allowed}
        accounts = {"acme": {"rate": "100/s", "webhooks": [hook]}}
        redis_url = scene.environ["REDIS_URL"]
        with Stack(tmp_path, redis_url, scene.broker_url, provider.url, accounts, HOOK=SECRET) as stack:
            stack.start()
            with scene.listening(trial.url, HOOK=SECRET) as listener:
                stack.outside.plain(new_job("order-1"))
                stack.outside.wait(["order-1"])
                listener.wait_for_lines(1)
                wait_until(lambda: bool(subscriber.hooks), "the subscriber has the event")
            (published,) = {found.body for found in stack.outside.delivered["order-1"]}
    assert {hook.body for hook in (*subscriber.hooks, *trial.hooks)} == {published}
    assert all(hook.signed_with(SECRET) for hook in (*subscriber.hooks, *trial.hooks))
