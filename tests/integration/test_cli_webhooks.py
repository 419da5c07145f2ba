"""`callworker webhooks`: what operators see of endpoints and do to them, on a real Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from click.testing import CliRunner, Result

from tests.contract.hooks import Lanes
from tests.integration.receiver import Hook, Receiver
from worker.cli import program
from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Verdict
from worker.redisio.connection import connect
from worker.settings import Settings
from worker.state import keys

Run = Callable[..., Result]

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
ACCOUNTS = """
[accounts.acme]
api_key_env = "ACME_KEY"
rate = "1/m"
[[accounts.acme.webhooks]]
url = "{url}/orders?token=hidden"
name = "orders"
secret_env = "ACME_SECRET"
rate = "1000/s"
allow_insecure = true
allow_ports = [{port}]
allow_networks = ["127.0.0.0/8"]
[[accounts.acme.webhooks]]
url = "https://hooks.example.com/bills"
name = "bills"
secret_env = "ACME_SECRET"
[accounts.globex]
api_key_env = "ACME_KEY"
rate = "1/m"
[[accounts.globex.webhooks]]
url = "https://hooks.example.com/bills"
name = "bills"
secret_env = "ACME_SECRET"
"""


class Answers:
    """What the receiver answers."""

    status = 204

    def __call__(self, hook: Hook) -> int:
        return self.status


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def receiver(answers: Answers) -> Iterator[Receiver]:
    with Receiver(answers) as found:
        yield found


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, receiver: Receiver, redis_url: str) -> None:
    """An accounts file, and nothing of the machine's own settings."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS.format(url=receiver.url, port=receiver.port))
    given = {"ACCOUNTS_FILE": str(file), "REDIS_URL": redis_url, "CALLWORKER_OPERATOR": "Ada"}
    for name, value in {**given, "ACME_KEY": "0123456789abcdef" * 2, "ACME_SECRET": SECRET}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def run() -> Run:
    """Runs one command line after `callworker webhooks`; the secret and the token are never in what it prints."""

    def invoke(*args: str) -> Result:
        result = CliRunner().invoke(program, ["webhooks", *args])
        assert SECRET[6:] not in result.output and "hidden" not in result.output
        return result

    return invoke


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as found:
        yield found


@pytest.fixture
def lanes(client: redis.Redis) -> Lanes:
    """Workers on that store, by the real time."""
    return Lanes(client, cast(Any, time.monotonic))


@pytest.fixture
def orders() -> list[Endpoint]:
    return [Accounts.load(Settings.from_env().accounts_file)["acme"].webhooks[0]]


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def acts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(CliRunner().invoke(program, ["audit", "--json"]).stdout)
    return found


def give_up(lanes: Lanes, hooks: list[Endpoint], *jobs: str) -> None:
    """Let each of the jobs end, and its delivery be given up."""
    for job in jobs:
        lanes.end(job, hooks=hooks)
        lanes.give_up(lanes.one())


def test_list_tells_the_state_of_each_endpoint(run: Run, lanes: Lanes, orders: list[Endpoint]) -> None:
    """What waits, what is in flight, and whether deliveries go; without the token of the url."""
    lanes.end("a", "b", hooks=orders)
    lanes.take(1)
    run("disable", "globex/bills")
    rows = {(row["account"], row["endpoint"]): row for row in told(run("list", "--json"))}
    found = rows["acme", "orders"]
    assert (found["pending"], found["waiting"], found["state"]) == (2, 1, "enabled")
    assert (found["breaker"], found["failures"]) == ("closed", 0)
    assert rows["globex", "bills"]["state"] == "disabled"
    assert rows["acme", "bills"]["state"] == "enabled"
    assert "disabled" in run("list").stdout


def test_show_tells_what_waits_and_how_attempts_went(
    run: Run, client: redis.Redis, lanes: Lanes, orders: list[Endpoint]
) -> None:
    """The state, the last attempts, and until when things wait."""
    lanes.end("a", hooks=orders)
    lanes.again(lanes.one(), 300.0)
    give_up(lanes, orders, "b")
    found = told(run("show", "orders", "--json"))
    assert (found["account"], found["endpoint"], found["rate"]) == ("acme", "orders", "1000/s")
    assert (found["waiting"], found["in_flight"], found["concurrency"]) == (1, 0, 4)
    assert found["given_up"] == {"attempts_spent": 1} and found["failures"] == 2
    assert [one["job"] for one in found["attempts"]] == ["b", "a"]
    assert found["oldest_at"] < found["next_at"]
    shown = run("show", "orders").stdout
    for line in (
        "acme/orders",
        "enabled",
        "2 in a row",
        "0 of 4; at most 1000/s",
        "1 attempts_spent",
        "the last number is 2",
    ):
        assert line in shown


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("gone", "disabled: it answered 410 Gone"),
        ("failing", "disabled: nothing but failures for five days"),
        ("asked", "disabled: it answered with the header `webhook-delivery: disable`"),
    ],
)
def test_show_tells_why_an_endpoint_is_disabled(
    run: Run, lanes: Lanes, orders: list[Endpoint], reason: str, line: str
) -> None:
    """In words, and since when."""
    lanes.end("a", hooks=orders)
    lanes.again(lanes.one(), 5.0, disable=reason)
    shown = run("show", "orders").stdout
    assert line in shown and ("ago)" in shown or "in 0 s)" in shown)


def test_show_tells_the_breaker(run: Run, client: redis.Redis, lanes: Lanes, orders: list[Endpoint]) -> None:
    """While it is open, when it is probed; then that one delivery probes it."""
    lanes.end("a", hooks=orders)
    client.hset(f"{keys.prefix_of('acme')}hook:acme|orders", "fails", 9)
    lanes.again(lanes.one(), 0.0)
    assert told(run("show", "orders", "--json"))["breaker"] == "open"
    assert "paused because too much failed; it is probed" in run("show", "orders").stdout
    client.hset(f"{keys.prefix_of('acme')}hook:acme|orders", "open_until", 1)
    assert "one delivery probes it now" in run("show", "orders").stdout


def test_show_tells_what_became_of_each_number(
    run: Run, client: redis.Redis, lanes: Lanes, orders: list[Endpoint]
) -> None:
    """A subscriber names the numbers that it misses."""
    give_up(lanes, orders, "a", "b")
    lanes.end("c", hooks=orders)
    client.delete(f"{keys.prefix_of('acme')}job:a")
    found = told(run("show", "orders", "--sequence", "1-4", "--json"))
    assert [one["state"] for one in found] == ["expired", "given_up", "waiting", "not_given"]
    assert found[1]["job"] == "b" and found[1]["event"].startswith("evt_")
    shown = run("show", "orders", "--sequence", "1-4").stdout
    assert "older than the records" in shown and "not given yet" in shown
    assert len(told(run("show", "orders", "--sequence", "2", "--json"))) == 1


@pytest.mark.parametrize("text", ["", "0", "4-2", "1-", "a-b", "1-10001"])
def test_wrong_range_is_wrong_usage(run: Run, text: str) -> None:
    """The option is named, and what it may be."""
    result = run("show", "orders", "--sequence", text)
    assert result.exit_code == 2 and "--sequence must be a number or a range" in result.stderr


def test_endpoint_of_several_accounts_is_named_by_its_account(run: Run) -> None:
    """The error lists them; either spelling chooses one."""
    result = run("show", "bills")
    assert result.exit_code == 2 and "acme/bills, globex/bills" in result.stderr
    for words in (("globex/bills",), ("bills", "--account", "globex")):
        assert told(run("show", *words, "--json"))["account"] == "globex"
    assert run("show", "orders", "--account", "globex").exit_code == 2


def test_deliveries_from_before_an_endpoint_had_its_name_are_found(
    run: Run, lanes: Lanes, orders: list[Endpoint]
) -> None:
    """They wait under the hash of its url: the endpoint's own state tells of them, and the hash names them."""
    nameless = Endpoint(url=orders[0].url, secret_env=("A",))
    lanes.end("a", hooks=[nameless])
    assert told(run("show", "orders", "--json"))["pending"] == 0
    line = f"from before it had its name 1 wait: `callworker webhooks show acme/{nameless.key}`"
    assert line in run("show", "orders").stdout
    found = told(run("show", nameless.key, "--json"))
    assert (found["endpoint"], found["pending"], found["in_accounts_file"]) == (nameless.key, 1, True)
    assert "had its name" not in run("show", nameless.key).stdout


def test_endpoint_that_left_the_accounts_file_is_still_there(run: Run, lanes: Lanes) -> None:
    """By account and key, as long as it has a record: its state, and all acts but a test."""
    gone = Endpoint(url="https://hooks.example.com/gone", secret_env=("A",), name="gone")
    give_up(lanes, [gone], "a")
    assert run("show", "gone").exit_code == 2
    assert run("show", "nothing", "--account", "acme").exit_code == 2
    for words in (("gone", "--account", "acme"), ("acme/gone",)):
        found = told(run("show", *words, "--json"))
        assert found["in_accounts_file"] is False and found["given_up"] == {"attempts_spent": 1}
    result = run("replay", "acme/gone", "--failed")
    assert result.exit_code == 0 and "no worker delivers to it" in result.stderr
    assert run("disable", "acme/gone").exit_code == run("enable", "acme/gone").exit_code == 0
    refused = run("test", "acme/gone")
    assert refused.exit_code == 1 and "is not in the accounts file" in refused.stderr


def test_enable_and_disable_tell_what_was(run: Run, lanes: Lanes, orders: list[Endpoint]) -> None:
    """Both say if there was nothing to do, and are on the audit trail."""
    lanes.end("a", hooks=orders)
    assert run("disable", "orders", "--why", "they move").stdout == "acme/orders is disabled\n"
    assert "was disabled already (by an operator)" in run("disable", "orders").stdout
    assert lanes.take() == []
    assert "was disabled (by an operator) and is enabled" in run("enable", "orders").stdout
    assert "was not disabled" in run("enable", "orders").stdout
    assert lanes.names() == ["a"]
    assert [(act["act"], act["endpoint"], act["why"]) for act in acts()][-1] == (
        "webhooks disable",
        "orders",
        "they move",
    )


@pytest.mark.parametrize(
    "command", [("enable",), ("disable",), ("test",), ("replay", "--all")], ids=lambda words: words[0]
)
def test_act_that_cannot_be_noted_is_not_done(
    run: Run,
    client: redis.Redis,
    receiver: Receiver,
    lanes: Lanes,
    orders: list[Endpoint],
    command: tuple[str, ...],
) -> None:
    """Nothing is sent, and no state changes."""
    give_up(lanes, orders, "a")
    before = run("show", "orders", "--json").stdout
    client.set(keys.AUDIT, "mine")
    result = run(command[0], "orders", *command[1:])
    assert result.exit_code == 1 and "callworker:audit" in result.stderr
    assert run("show", "orders", "--json").stdout == before and receiver.hooks == []


def test_dry_run_tells_what_would_be_sent(run: Run, lanes: Lanes, orders: list[Endpoint]) -> None:
    """And sends nothing, and is no act."""
    give_up(lanes, orders, "a", "b")
    found = told(run("replay", "orders", "--failed", "--dry-run", "--json"))
    assert [one["job"] for one in found["events"]] == ["a", "b"]
    assert (found["selected"], found["sent"], found["dry_run"]) == (2, 0, True)
    assert (
        "2 events would go to acme/orders again, over 0.2 s"
        in run("replay", "orders", "--failed", "--dry-run").stdout
    )
    assert lanes.take() == [] and acts() == []


def test_replay_sends_what_was_given_up(run: Run, lanes: Lanes, orders: list[Endpoint]) -> None:
    """Oldest first, within its bound; what is left is told, and goes with the next run."""
    give_up(lanes, orders, "a", "b", "c")
    result = run("replay", "orders", "--missing", "--most", "2", "--over", "1s", "--why", "they asked")
    assert "2 events go to acme/orders again, over 1.0 s" in result.stdout
    assert "3 are selected; these are the oldest 2" in result.stderr
    (act,) = acts()
    assert act["detail"] == {"failed": True, "events": 2, "over_seconds": 1.0}
    assert (act["act"], act["who"], act["why"]) == ("webhooks replay", "Ada", "they asked")
    assert told(run("replay", "orders", "--failed", "--json"))["sent"] == 1
    assert told(run("replay", "orders", "--failed", "--json"))["selected"] == 0
    assert told(run("show", "orders", "--json"))["pending"] == 3


def test_replay_selects_by_job_type_and_time(run: Run, lanes: Lanes, orders: list[Endpoint]) -> None:
    """Each narrows the choice; a job that the endpoint never had is an error."""
    lanes.end("a", hooks=orders)
    lanes.conclude(lanes.one(), Verdict.DELIVERED, why="200")
    give_up(lanes, orders, "b")

    def selected(*options: str) -> list[str]:
        found = told(run("replay", "orders", "--dry-run", "--json", *options))
        return [one["job"] for one in found["events"]]

    assert selected("--all") == selected("--since", "1h") == selected("--events", "call.*") == ["a", "b"]
    assert selected("--job", "a") == ["a"] and selected("--job", "a", "--failed") == []
    assert selected("--since", "1h", "--events", "call.failed") == []
    unknown = run("replay", "orders", "--job", "a", "--job", "z")
    assert unknown.exit_code == 1 and "is on record of: z" in unknown.stderr
    nothing = run("replay", "orders")
    assert nothing.exit_code == 2 and "say what to send" in nothing.stderr


def test_nothing_is_replayed_to_a_disabled_endpoint(run: Run, lanes: Lanes, orders: list[Endpoint]) -> None:
    """It would only wait there; the command says what to do first."""
    give_up(lanes, orders, "a")
    run("disable", "orders")
    result = run("replay", "orders", "--failed")
    assert result.exit_code == 1 and "first `callworker webhooks enable acme/orders`" in result.stderr
    assert told(run("show", "orders", "--json"))["pending"] == 0


def test_test_is_a_signed_event(run: Run, client: redis.Redis, receiver: Receiver) -> None:
    """It reaches the receiver as a delivery does, without a number, and leaves no trace but on the audit trail."""
    found = told(run("test", "orders", "--json"))
    (hook,) = receiver.hooks
    event = json.loads(hook.body)
    assert hook.signed_with(SECRET) and hook.event_id == event["id"] == found["event"]
    assert event["type"] == "endpoint.test" and event["data"] == {"account": "acme", "endpoint": "orders"}
    assert "callworker-sequence" not in hook.headers
    assert (found["ok"], found["status"], found["advice"]) == (True, 204, None)
    (act,) = acts()
    assert (act["act"], act["detail"]) == ("webhooks test", {"event": found["event"]})
    assert not client.exists(f"{keys.prefix_of('acme')}hook:acme|orders")
    assert "acme/orders answered 204 after" in run("test", "orders").stdout


def test_test_tells_how_to_correct_what_is_wrong(run: Run, receiver: Receiver, answers: Answers) -> None:
    """By the answer; the exit status is 1."""
    answers.status = 401
    result = run("test", "orders")
    assert result.exit_code == 1
    assert "answered 401" in result.stdout and "refuses the signature" in result.stdout
    run("disable", "orders")
    answers.status = 200
    assert "state: disabled: by an operator" in run("test", "orders").stdout


def test_test_goes_through_the_proxy(run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """As deliveries do; a fault of the proxy is told apart from one of the receiver."""
    monkeypatch.setenv("WEBHOOK_PROXY", "http://127.0.0.1:1")
    result = run("test", "orders")
    assert result.exit_code == 1 and receiver.hooks == []
    assert "the proxy of webhooks failed or refused" in result.stdout


def test_test_needs_the_secret(run: Run, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell without it is told the variable, and sends nothing."""
    monkeypatch.delenv("ACME_SECRET")
    result = run("test", "orders")
    assert result.exit_code == 1 and "ACME_SECRET" in result.stderr and receiver.hooks == []
