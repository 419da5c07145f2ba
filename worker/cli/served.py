"""Checks a job before it is sent, as far as the accounts file and the store are available."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from worker.cli import places
from worker.cli.output import say
from worker.core.accounts import Accounts
from worker.core.jobs import Job
from worker.errors import ConfigurationError, StoreFault, StoreUnavailable
from worker.settings import Settings
from worker.state.census import Census


def accounts_at_hand(settings: Settings) -> Accounts | None:
    """Load the accounts, or return None if there is no readable file, as on many machines of producers."""
    file = places.here(settings).accounts_file
    if not file.exists():
        return None
    try:
        return Accounts.load(file)
    except ConfigurationError as error:
        say(f"callworker: accounts are not checked: {error}", err=True)
        return None


def unserved(job: Job, accounts: Accounts | None) -> Mapping[str, str]:
    """The field for which a worker would reject the job, with the reason. Empty if there is none."""
    if accounts is None:
        return {}
    account = accounts.get(job.account)
    if account is None:
        return {"account": f"is not in the accounts file; it has {', '.join(accounts)}"}
    return {} if account.may_dial(job.country) else {"country": "is not among the countries of the account"}


def waiting(settings: Settings, names: Collection[str]) -> Mapping[str, int]:
    """The number of jobs that wait in the lane of each account. Empty if the store cannot be reached."""
    if settings.embedded and settings.broker_url is not None:
        return {}
    try:
        with places.store(settings) as client:
            counts = Census(client).accounts(list(names))
    except (StoreFault, StoreUnavailable):
        return {}
    return dict.fromkeys(names, 0) | {count.name: sum(count.waiting.values()) for count in counts}
