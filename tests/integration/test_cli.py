"""The commands on real servers: a Redis of the test run, the embedded server, a RabbitMQ."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from tests.doubles import decisions
from tests.doubles.ages import grow_older
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import REF, placed, rejection
from worker.broker.connection import Link
from worker.broker.queues import CALLS, INTAKE, RESULTS, SHARD_QUEUES, queue_of
from worker.cli import program, waiting
from worker.core.accounts import Account, Accounts
from worker.core.jobs import Job
from worker.core.records import REASONS, Application, Lease, Parked, Reason, Source
from worker.core.retry import Tally
from worker.delivery.ports import OutgoingEvent
from worker.delivery.results import ResultsQueue
from worker.embedded import EmbeddedServer
from worker.redisio.connection import connect
from worker.settings import Settings
from worker.state import keys
from worker.state.dead_letters import RedisDeadLetters
from worker.state.ledger import RedisLedger

Run = Callable[..., Result]

ACCOUNTS = """
[accounts.acme]
api_key_env = "ACME_KEY"
rate = "1/m"
concurrency = 2
[[accounts.acme.webhooks]]
url = "http://127.0.0.1:9/hook?token=hidden"
allow_insecure = true
allow_ports = [9]
secret_env = "ACME_SECRET"
"""
PHONE, PIN = "2125550123", "48213"
JOB = {"account": "acme", "country": "1", "phone": PHONE, "code": PIN, "ref": "note 1"}
ENQUEUE = ("enqueue", *(part for name, value in JOB.items() for part in (f"--{name}", value)))


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An accounts file, and nothing of the machine's own settings."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS)
    monkeypatch.setenv("ACCOUNTS_FILE", str(file))
    monkeypatch.setenv("ACME_KEY", "0123456789abcdef" * 2)
    monkeypatch.setenv("ACME_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")


@pytest.fixture
def run() -> Run:
    """Runs one command line; the PIN and the whole number are never in what it prints."""

    def invoke(*args: str, input: str | None = None) -> Result:
        result = CliRunner().invoke(program, args, input=input)
        assert PIN not in result.output
        assert PHONE not in result.output
        return result

    return invoke


@pytest.fixture
def client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """The store that the commands find by REDIS_URL, empty."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    with connect(redis_url) as found:
        yield found


@pytest.fixture
def ledger(client: redis.Redis) -> RedisLedger:
    """The ledger on that store."""
    return redis_ledger(client)


def admit(ledger: RedisLedger, *ids: str, may_dial: bool = True, **fields: str) -> list[Any]:
    """Admit jobs of account acme, whose limit is one a minute."""
    account = Accounts.load(Settings.from_env().accounts_file)["acme"]
    jobs = [Job.parse({**JOB, **fields, "id": job_id}) for job_id in ids]
    return ledger.admit([Application(job, account, Source.CELERY, may_dial) for job in jobs])


def settle(ledger: RedisLedger, lease: Lease) -> None:
    account = Accounts.load(Settings.from_env().accounts_file)["acme"]
    decisions.settle(ledger, lease, account, lease.tally, placed(lease))


def view(run: Run, job_id: str) -> dict[str, Any]:
    result = run("job", job_id, "--json")
    assert result.exit_code == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_waiting_job_tells_its_turn(run: Run, ledger: RedisLedger) -> None:
    """The third job of an account with one call a minute waits for the rate limit, two slots after the first."""
    admit(ledger, "first", "second", "third")
    told = view(run, "third")
    assert (told["state"], told["phone"], told["note"]) == ("waiting", "******0123", "note 1")
    assert (told["wait"]["reason"], told["wait"]["ahead"]) == ("rate_limit", 1)
    assert 60 < _seconds_until(told["wait"]["until"]) < 125
    assert [step["step"] for step in told["history"]] == ["waiting"]
    told_to_people = run("job", "third").stdout
    assert "rate limit, until about" in told_to_people and "place     2 in its lane" in told_to_people


def test_job_tells_that_it_expires_before_its_turn(run: Run, ledger: RedisLedger) -> None:
    """With one call a minute and ten minutes to live, the job in place 12 is too late, that in place 2 is not."""
    admit(ledger, *(f"job-{n}" for n in range(13)))
    assert [view(run, name)["wait"]["expires_first"] for name in ("job-2", "job-12")] == [False, True]
    assert "; it expires before its turn" in run("job", "job-12").stdout


def test_job_in_backoff_tells_its_next_attempt(run: Run, ledger: RedisLedger) -> None:
    """A job that was parked after a failed attempt tells when the next may come and why the last failed."""
    (lease,) = admit(ledger, "flaky")
    decisions.park(ledger, lease, lease.tally, Reason.BACKOFF, 300.0, "the provider answered 503")
    told = view(run, "flaky")
    assert told["wait"]["reason"] == "backoff"
    assert 200 < _seconds_until(told["wait"]["until"]) < 301
    assert told["history"][-1]["detail"] == "backoff the provider answered 503"


def test_job_of_a_held_account_tells_the_probe(run: Run, ledger: RedisLedger) -> None:
    """A job behind a hold tells why the account is held and when it is tried again."""
    (lease,) = admit(ledger, "poor")
    decisions.hold(ledger, lease, lease.tally, "NO_POINTS")
    told = view(run, "poor")
    assert (told["wait"]["reason"], told["wait"]["hold"]) == ("held", "NO_POINTS")
    assert -60 < _seconds_until(told["wait"]["until"]) < 6


def test_job_waits_for_another_call(run: Run, client: redis.Redis, ledger: RedisLedger) -> None:
    """A job that no place was free for waits for another call by now, and is told what holds it up now."""
    (parked,) = admit(ledger, "busy", may_dial=False)
    assert isinstance(parked, Parked)
    client.hset(f"{keys.prefix_of('acme')}limit:acme", "inflight", 2)
    told = view(run, "busy")
    assert (told["wait"]["reason"], told["wait"]["until"]) == ("concurrency", None)


def test_ended_job_tells_its_event(run: Run, ledger: RedisLedger) -> None:
    """A job that ended shows the published event, its ref and each step."""
    (lease,) = admit(ledger, "done")
    settle(ledger, lease)
    told = view(run, "done")
    assert (told["state"], told["wait"], told["event"]["data"]["ref"]) == ("placed", None, REF)
    assert [step["step"] for step in told["history"]] == ["dialling", "placed"]
    assert REF in run("job", "done").stdout


def test_job_that_ended_an_hour_ago_tells_what_is_left(run: Run, client: redis.Redis) -> None:
    """Status, time and the event's id are shown, and that the rest is dropped. Waiting for its repeat is refused."""
    ledger = redis_ledger(client, retention_seconds=7200)
    (lease,) = admit(ledger, "done")
    decisions.settle(ledger, lease, None, lease.tally, placed(lease))
    event_id = view(run, "done")["event_id"]
    grow_older(client, 3600)
    told = view(run, "done")
    assert (told["account"], told["state"], told["event_id"]) == ("acme", "placed", event_id)
    assert (told["details_dropped"], told["event"], told["history"]) == (True, None, [])
    shown = run("job", "done").stdout
    assert event_id in shown and "dropped an hour after its end" in shown and "history" not in shown
    result = run(*ENQUEUE, "--id", "done", "--wait")
    assert result.exit_code == 1 and "ended as placed, more than an hour ago" in result.stderr


def test_ended_job_tells_of_its_webhooks(run: Run, client: redis.Redis, ledger: RedisLedger) -> None:
    """The state, the attempts and the last answer of each delivery, in both forms; nothing without webhooks."""
    (lease,) = admit(ledger, "told")
    assert view(run, "told")["webhooks"] == [] and "webhooks" not in run("job", "told").stdout
    settle(ledger, lease)
    (real,) = view(run, "told")["webhooks"]
    assert (real["state"], real["sequence"], real["why"]) == ("waiting", 1, None)
    record, at = f"{keys.prefix_of('acme')}job:told", "2026-11-22T08:15:30.123Z"
    client.hdel(record, f"hook:{real['endpoint']}")
    client.hset(record, "hook:orders", "7 delivered 2 200 1795335330123")
    client.hset(record, "hook:0a1b2c3d4e5f", "31 waiting 0 - 1795335330123")
    first = {
        "endpoint": "0a1b2c3d4e5f",
        "sequence": 31,
        "state": "waiting",
        "attempts": 0,
        "why": None,
        "at": at,
    }
    second = {
        "endpoint": "orders",
        "sequence": 7,
        "state": "delivered",
        "attempts": 2,
        "why": "200",
        "at": at,
    }
    assert view(run, "told")["webhooks"] == [first, second]
    shown = run("job", "told").stdout.split("webhooks")[1].split("\n")
    assert [line.split() for line in shown[2:4]] == [
        [at, "0a1b2c3d4e5f", "31", "waiting", "0"],
        [at, "orders", "7", "delivered", "2", "200"],
    ]


def test_job_tells_of_conflicts(run: Run, ledger: RedisLedger) -> None:
    """Other jobs that came under its id are counted, with the time of the last (D5)."""
    admit(ledger, "taken")
    assert view(run, "taken")["conflicts"] == 0 and "conflicts" not in run("job", "taken").stdout
    admit(ledger, "taken", code="4711")
    admit(ledger, "taken")
    told = view(run, "taken")
    assert told["conflicts"] == 1 and _seconds_until(told["last_conflict_at"]) == pytest.approx(0, abs=30)
    assert "1 other job with this id came" in run("job", "taken").stdout


@pytest.mark.parametrize("ended", [True, False])
def test_enqueue_that_waits_tells_a_conflict(run: Run, ledger: RedisLedger, ended: bool) -> None:
    """Status 1 and one line where the id is another job's, not that job's event (D5)."""
    (lease,) = admit(ledger, "taken", code="4711")
    if ended:
        settle(ledger, lease)
    result = run(*ENQUEUE, "--id", "taken", "--wait")
    assert result.exit_code == 1 and result.stdout == "" and result.stderr.count("\n") == 1
    assert "another job has the id 'taken' already; this one was dropped" in result.stderr
    assert result.stderr.endswith("differs in: fields\n" if ended else "differs in: code\n")


def test_enqueue_that_waits_tells_that_the_id_is_another_accounts(run: Run, client: redis.Redis) -> None:
    """Although that account's job is not to be seen, or not yet (D5)."""
    client.set(keys.claim("taken"), "globex")
    result = run(*ENQUEUE, "--id", "taken", "--wait")
    assert result.exit_code == 1 and result.stderr.endswith("differs in: account\n")


@pytest.mark.usefixtures("client")
def test_enqueue_that_waits_without_a_worker_ends_in_time_and_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--timeout ends the wait with status 1; both the line meanwhile and the last one ask for a worker (D6)."""
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.0)
    result = run(*ENQUEUE, "--id", "alone", "--wait", "--timeout", "0.5")
    assert result.exit_code == 1
    meanwhile, last = result.stderr.splitlines()
    assert "job alone: no worker has accepted it" in meanwhile
    assert "has not ended within 0.5 s: no worker has accepted it; if none is running" in last


def test_enqueue_that_waits_tells_what_the_job_waits_for(
    run: Run, ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that a worker has taken and that waits for its turn is shown as `callworker job` shows it (D6)."""
    admit(ledger, "first", "second")
    result = run(*ENQUEUE, "--id", "second", "--wait", "--timeout", "0.1")
    assert result.exit_code == 1
    assert "has not ended within 0.1 s: it waits for the account's rate limit, until" in result.stderr


def test_ids_of_lines_follow_from_a_secret_of_the_broker(
    run: Run, redis_url: str, client: redis.Redis
) -> None:
    """The same line has the same id in any file and form; another Redis, which remembers none of these
    ids, gives others, so that nobody can find number and PIN by trying (D4)."""
    table = "account,country,phone,code,ref\nacme,1,2125550123,48213,note 1\nacme,1,2125550124,48213,note 1\n"
    first = run("enqueue", "--file", "-", "--format", "csv", input=table).stdout.split()
    line = json.dumps({**JOB, "country": 1})
    assert run("enqueue", "--file", "-", "--format", "jsonl", input=line).stdout.split() == first[:1]
    client.flushall()
    assert run("enqueue", "--file", "-", "--format", "csv", input=table).stdout.split() != first


def test_enqueue_that_waits_for_the_same_job_again_shows_its_event(run: Run, ledger: RedisLedger) -> None:
    """The same fields under the same id are one job, no matter who sends it again (D5)."""
    (lease,) = admit(ledger, "once")
    settle(ledger, lease)
    result = run(*ENQUEUE, "--id", "once", "--wait")
    assert result.exit_code == 0 and REF in result.stdout


@pytest.mark.parametrize(
    "moment", ["9999-12-31T23:59:59.9999999Z", "0001-01-01T00:00:00Z", "2200-01-01T00:00:00Z"]
)
def test_job_of_any_expiry_can_be_shown(run: Run, ledger: RedisLedger, moment: str) -> None:
    """A job whose `expires_at` is at an end of the calendar is admitted and shown while it waits (C6)."""
    account = Accounts.load(Settings.from_env().accounts_file)["acme"]
    job = Job.parse({**JOB, "id": "late", "expires_at": moment})
    ledger.admit([Application(job, account, Source.CELERY, may_dial=False)])
    assert (
        view(run, "late")["expires_at"] == ("2000-01-01" if moment < "2" else "2200-01-01") + "T00:00:00.000Z"
    )
    assert "expires" in run("job", "late").stdout


def test_job_with_a_time_that_no_calendar_has_is_shown(
    run: Run, client: redis.Redis, ledger: RedisLedger
) -> None:
    """An earlier version put a time on record that its doubles had rounded into the year 10000: it is shown (C6)."""
    admit(ledger, "first", "second")
    client.hset(f"{keys.prefix_of('acme')}job:second", "expires", 253_402_300_800_000_000)
    assert view(run, "second")["expires_at"] == "9999-12-31T23:59:59.000Z"
    assert "9999" in run("job", "second").stdout


def test_rejected_job_tells_its_fields(run: Run, ledger: RedisLedger) -> None:
    """A job that never was valid has a story too."""
    assert ledger.reject("bad", "acme", None, rejection("bad", "acme"), "{}") is None
    told = view(run, "bad")
    assert (told["state"], told["expires_at"], told["event"]["type"]) == ("rejected", None, "call.rejected")
    assert "phone: is required" in run("job", "bad").stdout


@pytest.mark.usefixtures("client")
def test_unknown_job_is_an_error(run: Run) -> None:
    """An id without a record ends with 1 and says what that can mean."""
    result = run("job", "nobody")
    assert result.exit_code == 1
    assert "no record of a job 'nobody'" in result.stderr


def test_cancel_tells_what_became_of_the_job(run: Run, client: redis.Redis, ledger: RedisLedger) -> None:
    """Exit status 0 for a job that will not be dialled, 1 for one that is or was; each try is on the audit trail."""
    lease, *_ = admit(ledger, "goes", "waits", "again")
    assert isinstance(lease, Lease)
    assert (run("cancel", "waits").stdout, view(run, "waits")["state"]) == ("waits: canceled\n", "expired")
    assert run("cancel", "waits").stdout == "waits: was canceled before\n"
    refused = run("cancel", "goes")
    assert refused.exit_code == 1 and "goes is not canceled: it is being dialled" in refused.stderr
    settle(ledger, lease)
    assert "it has ended as placed" in run("cancel", "goes").stderr
    assert run("cancel", "later", "--why", "wrong number").stdout.startswith(
        "later: not known yet: if it comes"
    )
    assert view(run, "later")["state"] == "canceled" and "before it came" in run("job", "later").stdout
    assert "no job of globex" in run("cancel", "again", "--account", "globex").stderr
    told = json.loads(run("cancel", "again", "--account", "acme", "--json").stdout)
    assert told == {
        "id": "again", "canceled": True, "known": True, "status": "expired", "message": "canceled"
    }  # fmt: skip
    assert [(act["act"], act["job"], act["why"]) for act in acts(run)][2] == (
        "cancel",
        "later",
        "wrong number",
    )
    assert client.llen(f"{keys.prefix_of('acme')}outbox") == 3
    assert len(view(run, "waits")["webhooks"]) == 1


def test_cancel_tells_that_the_phone_may_have_rung(run: Run, ledger: RedisLedger) -> None:
    """A job that waits for its redial is taken back, and nobody is told that it did not ring."""
    (lease,) = admit(ledger, "rung")
    decisions.park(ledger, lease, Tally(sent=1, perhaps_rung=1), Reason.BACKOFF, 60.0)
    assert "an earlier attempt may have rung the phone" in run("cancel", "rung").stdout
    assert view(run, "rung")["event"]["type"] == "call.unknown"


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("words", [("two words",), ("a", "--account", "a:b"), ()])
def test_cancel_of_what_is_no_id_is_wrong_usage(run: Run, words: tuple[str, ...]) -> None:
    """Nothing is noted for an id that no job can have."""
    assert run("cancel", *words).exit_code == 2


def test_cancel_of_a_job_whose_account_is_not_known_here_is_wrong_usage(
    run: Run, ledger: RedisLedger
) -> None:
    """Its webhooks would not get the event."""
    other = Account(name="globex", api_key_env="ACME_KEY", rate="1/h")
    one = Application(Job.parse({**JOB, "id": "a", "account": "globex"}), other, Source.CELERY, False)
    ledger.admit([one])
    refused = run("cancel", "a")
    assert refused.exit_code == 2 and "'globex' is not in the accounts file" in refused.stderr
    assert view(run, "a")["state"] == "waiting"


def test_hold_and_resume(run: Run, ledger: RedisLedger) -> None:
    """A held account's jobs wait for the operator, until it is resumed; the commands say if there is nothing to do."""
    assert "is held" in run("accounts", "hold", "acme", "--reason", "invoice open").stdout
    assert "held already" in run("accounts", "hold", "acme", "--reason", "invoice open").stdout
    (parked,) = admit(ledger, "waits")
    assert isinstance(parked, Parked)
    told = view(run, "waits")["wait"]
    assert (told["reason"], told["until"], told["hold"]) == ("held", None, "operator: invoice open")
    assert run("accounts", "resume", "acme").stdout == "acme is resumed\n"
    assert run("accounts", "resume", "acme").stdout == "acme was not held\n"
    assert view(run, "waits")["wait"]["reason"] == "no_places"


def test_hold_and_resume_of_all(
    run: Run, ledger: RedisLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All accounts are held in one act; a hold of its own stays, and so does what was not held for that reason."""
    (tmp_path / "accounts.toml").write_text(
        f'{ACCOUNTS}[accounts.globex]\napi_key_env = "GLOBEX_KEY"\nrate = "1/m"\n'
    )
    monkeypatch.setenv("GLOBEX_KEY", "fedcba9876543210" * 2)
    admit(ledger, "waits")
    run("accounts", "hold", "acme", "--reason", "invoice open")
    assert run("accounts", "hold", "--all", "--reason", "move").stdout == (
        "1 of 2 accounts are held by this (operator: move)\n"
    )
    held = {one["account"]: one["held"] for one in json.loads(run("accounts", "--json").stdout)}
    assert held == {"acme": "operator: invoice open", "globex": "operator: move"}
    assert run("accounts", "resume", "--all", "--reason", "move").stdout == (
        "1 of 2 accounts are resumed (operator: move)\n"
    )
    assert run("accounts", "resume", "--all").stdout == "1 of 2 accounts are resumed\n"
    assert not any(one["held"] for one in json.loads(run("accounts", "--json").stdout))
    assert [(act["act"], act["account"], act["why"], act["detail"]) for act in acts(run)][:3] == [
        ("accounts resume", None, None, {"all": 2}),
        ("accounts resume", None, None, {"all": 2, "reason": "move"}),
        ("accounts hold", None, "move", {"all": 2}),
    ]


@pytest.mark.parametrize("words", [(), ("acme", "--all")])
@pytest.mark.parametrize("act", ["hold", "resume"])
def test_hold_and_resume_need_one_account_or_all(run: Run, act: str, words: tuple[str, ...]) -> None:
    """A command that might mean everything by mistake does nothing."""
    result = run("accounts", act, *words)
    assert result.exit_code == 2 and "name one account, or give --all" in result.stderr


@pytest.mark.usefixtures("client")
def test_hold_of_an_unknown_account_is_wrong_usage(run: Run) -> None:
    """A name that is not in the accounts file is refused with those that are."""
    result = run("accounts", "hold", "nobody")
    assert result.exit_code == 2
    assert "it has acme" in result.stderr


def acts(run: Run, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("audit", "--json", *options).stdout)
    return found


def test_acts_are_on_the_audit_trail(run: Run, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who, what, to what and why, newest first; no PIN or number of a letter that was sent again."""
    assert run("audit").stdout == "no acts on the audit trail\n"
    monkeypatch.setenv("CALLWORKER_OPERATOR", "Ada")
    run("accounts", "hold", "acme", "--reason", "invoice open")
    run("accounts", "resume", "acme", "--why", "paid; tell +1 212 555 0123")
    letters = RedisDeadLetters(client)
    letters.bury("takes keyword arguments only", Source.CELERY, b"x", job_id="task-1")
    letters.bury("id: is required", Source.STREAM, JOB)
    first, second = json.loads(run("dead", "list", "--json").stdout)
    given = (f"--set=phone={PHONE}", f"--set=code={PIN}", "--set=id=again", "--set=ref=")
    assert run("dead", "replay", first["id"], *given).exit_code == 0
    run("dead", "drop", second["id"], "--why", "spam")
    told = acts(run)
    assert [(act["act"], act["account"], act["job"]) for act in told] == [
        ("dead drop", None, "task-1"), ("dead replay", "acme", "again"),
        ("accounts resume", "acme", None), ("accounts hold", "acme", None),
    ]  # fmt: skip
    assert [act["why"] for act in told] == ["spam", None, "paid; tell *******0123", "invoice open"]
    assert told[1]["detail"] == {"letter": first["id"], "set": "phone, code, id, ref"}
    assert {act["who"] for act in told} == {"Ada"}
    assert len(acts(run, "--since", "1h", "--most", "2")) == 2
    assert "Ada@" in run("audit").stdout and "accounts hold" in run("audit").stdout


@pytest.mark.parametrize("command", [("accounts", "hold", "acme"), ("dead", "drop", "x")])
def test_act_that_cannot_be_noted_is_not_done(
    run: Run, client: redis.Redis, command: tuple[str, ...]
) -> None:
    """The command ends with 1 before it changes anything."""
    RedisDeadLetters(client).bury("id: is required", Source.STREAM, JOB)
    (letter,) = json.loads(run("dead", "list", "--json").stdout)
    client.set(keys.AUDIT, "mine")
    result = run(*(letter["id"] if word == "x" else word for word in command))
    assert result.exit_code == 1 and "callworker:audit" in result.stderr
    (count,) = json.loads(run("accounts", "--json").stdout)
    assert count["held"] is None and RedisDeadLetters(client).count() == 1


def test_rotation_is_on_the_audit_trail_or_refused(
    run: Run, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no Redis answers nothing is rotated, unless the operator does without an entry."""
    (hook,) = json.loads(run("webhooks", "list", "--json").stdout)
    told = json.loads(run("webhooks", "rotate", hook["endpoint"], "--why", "leaked", "--json").stdout)
    (act,) = acts(run)
    assert (act["act"], act["endpoint"], act["why"]) == ("webhooks rotate", hook["endpoint"], "leaked")
    assert told["secret"][6:] not in json.dumps(act)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    refused = run("webhooks", "rotate", hook["endpoint"])
    assert refused.exit_code == 1 and "nothing was rotated" in refused.stderr
    assert run("webhooks", "rotate", hook["endpoint"], "--no-audit").exit_code == 0


def test_accounts_show_limits_and_backlog(run: Run, ledger: RedisLedger) -> None:
    """One job dials and two wait: each is counted where it is."""
    admit(ledger, "a", "b", "c")
    (told,) = json.loads(run("accounts", "--json").stdout)
    assert (told["account"], told["rate"], told["in_flight"], told["held"]) == ("acme", "1/m", 1, None)
    assert told["waiting"] == dict.fromkeys(REASONS, 0) | {"rate_limit": 2}
    assert "2 rate_limit" in run("accounts").stdout


def test_webhooks_that_wait_are_counted_and_tokens_hidden(run: Run, ledger: RedisLedger) -> None:
    """Each endpoint shows its waiting deliveries; the query of its address is left out."""
    settle(ledger, admit(ledger, "done")[0])
    (told,) = json.loads(run("webhooks", "list", "--json").stdout)
    assert (told["account"], told["url"], told["pending"]) == ("acme", "http://127.0.0.1:9/hook", 1)
    assert told["name"] is None and len(told["endpoint"]) == 12
    assert "http://127.0.0.1:9/hook" in run("webhooks", "list").stdout


def test_dead_letters_are_listed_newest_first(run: Run, client: redis.Redis) -> None:
    """Each letter has its reason and content, without PIN and number."""
    letters = RedisDeadLetters(client)
    assert run("dead", "list").stdout == "no dead letters\n"
    letters.bury("id: is required", Source.STREAM, JOB)
    letters.bury("not valid JSON", Source.CELERY, b"{\x1b[2J")
    told = json.loads(run("dead", "list", "--json").stdout)
    assert [letter["reason"] for letter in told] == ["not valid JSON", "id: is required"]
    assert told[1]["content"]["account"] == "acme"
    shown = run("dead", "list", "--max", "1").stdout
    assert "not valid JSON" in shown
    assert "\x1b" not in shown


def test_letter_of_a_celery_task_is_sent_again_under_its_id(run: Run, client: redis.Redis) -> None:
    """The task's id, which the fields did not name, is kept and is the job's; with - the PIN is read from standard
    input, and never stood on a command line (D7)."""
    letters, task_id = RedisDeadLetters(client), "0b5a3c52-3f5c-4c3e-9d4b-0c8e6f1d2a77"
    letters.bury("takes keyword arguments only", Source.CELERY, b'[["acme"], {}, {}]', job_id=task_id)
    (letter,) = json.loads(run("dead", "list", "--json").stdout)
    assert letter["job_id"] == task_id
    assert task_id in run("dead", "list").stdout
    given = [f"--set={name}={value}" for name, value in {**JOB, "code": "-"}.items()]
    result = run("dead", "replay", letter["id"], *given, input=f"{PIN}\n")
    assert (result.exit_code, result.stdout) == (0, f"sent as job {task_id}\n")
    sent: Any = client.lindex(queue_of(JOB["account"]).name, 0)
    assert json.loads(sent)["headers"]["id"] == task_id
    assert PIN in base64.b64decode(json.loads(sent)["body"]).decode()
    assert run("dead", "list").stdout == "no dead letters\n"


def test_letter_without_an_id_is_told_to_be_a_call_of_its_own(run: Run, client: redis.Redis) -> None:
    """The command warns that a new id cannot be dropped as a repeat; an unknown account is refused (D7)."""
    RedisDeadLetters(client).bury("id: is required", Source.STREAM, JOB)
    (letter,) = json.loads(run("dead", "list", "--json").stdout)
    given = ("--set", f"phone={PHONE}", "--set", "code=-", "--set", "ref=")
    wrong = run("dead", "replay", letter["id"], *given, "--set", "account=nosuch", input=f"{PIN}\n")
    assert wrong.exit_code == 2
    result = run("dead", "replay", letter["id"], *given, input=f"{PIN}\n")
    assert result.exit_code == 0
    assert "the job gets a new one" in result.stderr


HOSTILE = "x\x1b[2J\x1b]0;t\x07\x9b31m\u202e\u2066y\x7f é 📞"
"""CSI and OSC, a C1 sign, overrides of the direction of writing; and signs that are none of Latin-1 or ASCII."""


@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "ascii"])
@pytest.mark.parametrize("as_json", [True, False])
def test_hostile_text_is_made_visible_by_every_command(
    client: redis.Redis, redis_url: str, ledger: RedisLedger, charset: str, as_json: bool
) -> None:
    """A note, a hold's reason, an error of the provider and a dead letter cannot move the cursor in any command's
    output; in a terminal of another encoding they are printed with escapes, and --json is ASCII (C5, E10)."""
    (lease, _) = admit(ledger, "ends", "waits", ref=HOSTILE)
    settle(ledger, lease)
    CliRunner().invoke(program, ["accounts", "hold", "acme", "--reason", HOSTILE])
    client.lpush(
        keys.DEAD, json.dumps({"id": "a1", "at": 1, "source": "queue", "reason": HOSTILE, "content": HOSTILE})
    )
    data: dict[str, Any] = {"id": "j", "account": "acme", "phone": None, "attempts": 1, "note": HOSTILE}
    data["error"] = {"code": "INVALID_X", "message": HOSTILE}
    body = {"id": "evt_1", "type": "call.failed", "timestamp": "now", "data": data}
    ResultsQueue(redis_url).publish([OutgoingEvent("call.failed", json.dumps(body, ensure_ascii=False))])
    commands = (
        ["job", "ends"],
        ["job", "waits"],
        ["accounts"],
        ["audit"],
        ["dead", "list"],
        ["dead", "show", "a1"],
        ["results"],
    )
    for words in commands:
        done = CliRunner(charset=charset).invoke(program, [*words, "--json"] if as_json else words)
        assert done.exit_code == 0, (words, done.output)
        assert "x\\x1b[2J" in done.stdout or "x\\u001b[2J" in done.stdout, words
        assert all(line.isprintable() for line in done.stdout.split("\n")), words
        assert done.stdout.isascii() or not as_json, words
    assert client.llen("results") == 0


def test_results_are_taken_as_many_as_asked_for(
    run: Run, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--max takes that many and leaves the rest; --json prints the published bytes."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    bodies = [json.dumps({"id": f"evt_{n}", "type": "call.placed"}) for n in range(4)]
    ResultsQueue(redis_url).publish([OutgoingEvent("call.placed", body) for body in bodies])
    first = run("results", "--json", "--max", "1").stdout.splitlines()
    follow = run("results", "--json", "--max", "2", "--follow").stdout.splitlines()
    rest = run("results", "--json").stdout.splitlines()
    assert (len(first), len(follow), len(rest)) == (1, 2, 1)
    assert sorted(first + follow + rest) == bodies


def test_enqueue_finds_the_embedded_server(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If no address is set, jobs go to the server that another process runs on the same folder."""
    monkeypatch.setenv("CALLWORKER_STATE_DIR", str(tmp_path / "state"))
    lines = "".join(json.dumps({**JOB, "id": f"j-{n}"}) + "\n" for n in range(3))
    with EmbeddedServer(tmp_path / "state") as server:
        result = run("enqueue", "--file", "-", "--format", "jsonl", "--json", input=lines)
        with redis.Redis.from_url(server.url) as embedded:
            assert embedded.llen(queue_of(JOB["account"]).name) == 3
        checks = _checks(run("doctor", "--offline", "--json"))
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["j-0", "j-1", "j-2"]
    assert "3 of 3 jobs sent" in result.stderr
    assert [checks[name] for name in ("Redis", "Redis eviction", "Redis persistence", "broker")] == ["ok"] * 4


def test_doctor_finds_an_evicting_redis(run: Run, client: redis.Redis) -> None:
    """Doctor reports memory policy and missing append-only file; only the first is a failure."""
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        result = run("doctor", "--offline", "--json")
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    checks = _checks(result)
    assert result.exit_code == 1
    assert (checks["Redis eviction"], checks["Redis persistence"]) == ("fail", "warn")


@pytest.mark.usefixtures("client")
def test_doctor_is_content_with_a_good_installation(run: Run) -> None:
    """The exit status is 0 if nothing fails, and people get every finding on a line."""
    result = run("doctor", "--offline")
    assert result.exit_code == 0, result.stdout
    assert "secrets of acme" in result.stdout


def test_doctor_tells_a_broker_that_is_away(
    run: Run, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that nobody listens for fails, and its password is not shown."""
    monkeypatch.setenv("BROKER_URL", "amqp://user:hunter22@127.0.0.1:1//")
    result = run("doctor", "--offline", "--json")
    assert _checks(result)["broker"] == "fail"
    assert "hunter22" not in result.output


def test_doctor_tells_queues_on_rabbitmq(
    run: Run, client: redis.Redis, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queues that no worker has made yet are a warning; once made, all is well."""
    monkeypatch.setenv("BROKER_URL", amqp_url)
    assert _checks(run("doctor", "--offline", "--json"))["queues"] == "warn"
    Link(amqp_url, [CALLS, RESULTS, INTAKE, *SHARD_QUEUES]).close()
    checks = _checks(run("doctor", "--offline", "--json"))
    assert (checks["queues"], checks["broker version"]) == ("ok", "ok")


def _checks(result: Result) -> dict[str, str]:
    return {check["check"]: check["grade"] for check in json.loads(result.stdout)["checks"]}


def _seconds_until(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() - time.time()


EVENT = {"id": "evt_1", "type": "call.placed", "data": {"id": "a", "account": "acme", "ref": "x"}}


def test_restore_wants_drained_workers_and_events(run: Run, client: redis.Redis, tmp_path: Path) -> None:
    """A file with anything else in it changes nothing, and events from before the backup are left out."""
    old, new = ({**EVENT, "timestamp": f"{year}-01-01T00:00:00.000Z"} for year in (2020, 2025))
    file = tmp_path / "events.jsonl"
    file.write_text(f"{json.dumps(old)}\n\n{json.dumps(new)}\n")
    words = ("restore", str(file), "--since", "2024-01-01T00:00:00Z")
    refused = run(*words)
    assert refused.exit_code == 1 and "run `callworker drain` first" in refused.stderr
    client.set(keys.DRAIN, "by hand")
    assert run(*words, "--why", "lost disk").stdout.startswith("1 jobs have ended now as their events say")
    assert (
        run(*words).stdout
        == "0 jobs have ended now as their events say, without a call\n1 had ended in the backup already\n"
    )
    (again, first) = acts(run)
    assert (first["act"], first["why"], first["detail"]) == ("restore", "lost disk", {"events": 1}) and again
    file.write_text(f"{json.dumps(new)}\nno event\n")
    wrong = run(*words)
    assert wrong.exit_code == 2 and "line 2 of" in wrong.stderr
    assert run("restore", str(tmp_path / "none"), "--since", "1h").exit_code == 2
