"""What can be known of a job before it is sent: from the accounts file, where it is at hand, and the store."""

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
    """The accounts, or None where no readable file of them is here, as on many a producer's machine."""
    file = places.here(settings).accounts_file
    if not file.exists():
        return None
    try:
        return Accounts.load(file)
    except ConfigurationError as error:
        say(f"callworker: accounts are not checked: {error}", err=True)
        return None


def unserved(job: Job, accounts: Accounts | None) -> Mapping[str, str]:
    """The field for which a worker would reject the job at once, with the reason; empty if there is none."""
    if accounts is None:
        return {}
    account = accounts.get(job.account)
    if account is None:
        return {"account": f"is not in the accounts file; there are {', '.join(accounts)}"}
    return {} if account.may_dial(job.country) else {"country": "is not among the countries of the account"}


def waiting(settings: Settings, names: Collection[str]) -> Mapping[str, int]:
    """How many jobs of each account wait in its lane; empty where the store is not within reach."""
    if settings.embedded and settings.broker_url is not None:
        return {}
    try:
        with places.store(settings) as client:
            counts = Census(client).accounts(list(names))
    except (StoreFault, StoreUnavailable):
        return {}
    return {count.name: sum(count.waiting.values()) for count in counts}
