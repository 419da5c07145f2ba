"""Accounts with a webhook, and deliveries that wait for it without a worker."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from urllib.parse import urlsplit

from ops.bench.contenders import KEY_VARIABLE, new_job
from ops.bench.installation import UNLIMITED
from ops.bench.servers import BenchRedis
from worker.core.accounts import Account
from worker.core.endpoints import Endpoint
from worker.core.events import Event, Status, Subject, conclude, id_of_end
from worker.core.jobs import Job
from worker.core.records import Application, Ending, Lease, Source
from worker.core.retry import Tally
from worker.redisio.connection import connect
from worker.state import keys
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts

SECRET_VARIABLE = "BENCH_WEBHOOK_SECRET"  # noqa: S105 (the variable's name)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 (that of Standard Webhooks' examples)
SECRETS = {SECRET_VARIABLE: SECRET}
REF = "97A677DD3E0A42B8EA58D93D05BAC89F"

_BATCH = 500


def limits(account_name: str, url: str) -> str:
    """Return an account's lines in the accounts file: no limit that can be reached, and one webhook to `url`."""
    port = urlsplit(url).port
    return (
        f'{UNLIMITED}\n[[accounts.{account_name}.webhooks]]\nurl = "{url}"\nname = "bench"\n'
        f'secret_env = "{SECRET_VARIABLE}"\nallow_insecure = true\nallow_ports = [{port}]\n'
        'allow_networks = ["127.0.0.0/8"]'
    )


def fill(server: BenchRedis, account_name: str, url: str, count: int, prefix: str) -> None:
    """Put the events of `count` jobs that have been placed into the webhook's lane, and none into the outbox."""
    account = _account(account_name, url)
    ledger = RedisLedger(store_scripts(connect(server.url)), lease_seconds=600.0, retention_seconds=86400)
    waiting = _applications(account, count, prefix)
    while some := list(islice(waiting, _BATCH)):
        leases = [lease for lease in ledger.admit(some) if isinstance(lease, Lease)]
        ledger.record([_placed(account, lease) for lease in leases])
    server.client.delete(f"{keys.prefix_of(account_name)}outbox")


def pending(server: BenchRedis, account_name: str) -> int:
    """Return how many of the account's deliveries are not over."""
    return int(server.client.hget(f"{keys.prefix_of(account_name)}pending", account_name) or 0)


def _account(name: str, url: str) -> Account:
    hook = Endpoint(url=url, name="bench", secret_env=(SECRET_VARIABLE,))
    return Account(
        name=name,
        api_key_env=KEY_VARIABLE,
        rate="999999/s",
        burst=100_000,
        concurrency=100_000,
        webhooks=(hook,),
    )


def _applications(account: Account, count: int, prefix: str) -> Iterator[Application]:
    for number in range(count):
        job = Job.parse(new_job(f"{prefix}{number}", account.name))
        yield Application(job, account, Source.CELERY, may_dial=True)


def _placed(account: Account, lease: Lease) -> Ending:
    return Ending(lease, account, Tally(sent=1), event_of(lease.job, lease.accepted_at_us))


def event_of(job: Job, unix_us: int) -> Event:
    """Return the event of a job that was placed at that moment."""
    subject = Subject.of(job)
    return conclude(
        subject,
        REF,
        Status.PLACED,
        attempts=1,
        accepted_at_us=unix_us,
        finished_at_us=unix_us,
        event_id=id_of_end("bench", job.account, job.id, unix_us, 1),
    )
