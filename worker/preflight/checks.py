"""Checks everything that must be right before a worker may start, and reports all problems at once, one line each.

`callworker doctor` makes the same checks, and more at the servers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

from worker.broker.address import broker_url
from worker.core.accounts import Accounts
from worker.errors import ConfigurationError, every
from worker.network import trust
from worker.preflight import open_files
from worker.preflight.accounts import ReadAccounts, of_certificates
from worker.preflight.greeting import ask_broker, ask_store
from worker.provider import Codes
from worker.redisio.connection import is_cluster
from worker.settings import Settings
from worker.state import layout
from worker.tracing import installed

CELERY_BROKER = "CELERY_BROKER_URL"


def check(
    settings: Settings, wrong: Mapping[str, str] | None = None, environ: Mapping[str, str] = os.environ
) -> ReadAccounts:
    """Raise ConfigurationError with everything that prevents the start of a worker. Returns the accounts as read.

    `wrong` holds a line for each wrong setting, by its variable; `settings` holds the default in its place.
    """
    wrong = wrong or {}
    own = ConfigurationError(*wrong.values())
    checks: list[Callable[[], object]] = [partial(_refuse, own)]
    read = ReadAccounts(settings.accounts_file, environ)
    every([*checks, *_files(settings, environ, read), *_broker(settings, wrong, environ)])
    return read


def _refuse(wrong: ConfigurationError) -> None:
    if wrong.problems:
        raise wrong


def _files(settings: Settings, environ: Mapping[str, str], read: ReadAccounts) -> list[Callable[[], object]]:
    return [
        lambda: read.secrets,
        partial(Codes.load, settings.provider_errors_file),
        partial(open_files.check, settings.concurrency),
        partial(check_certificates, settings, environ, read.accounts),
        *([partial(installed.check, environ)] if settings.traced else []),
    ]


def check_certificates(
    settings: Settings, environ: Mapping[str, str] = os.environ, accounts: Accounts | None = None
) -> None:
    """Raise ConfigurationError with every file of certificates that cannot be used. Reads the accounts unless given."""
    checks: list[Callable[[], None]] = [partial(trust.check_public, environ)]
    if settings.proxstop_ca_file is not None:
        checks += [partial(trust.check, settings.proxstop_ca_file, "PROXSTOP_CA_FILE")]
    if accounts is None:
        # Whatever is wrong in the accounts file, the check of that file reports it.
        accounts, _ = Accounts.valid_part(settings.accounts_file)
    every([*checks, *of_certificates(accounts)])


def _broker(
    settings: Settings, wrong: Mapping[str, str], environ: Mapping[str, str]
) -> list[Callable[[], object]]:
    checks: list[Callable[[], object]] = []
    if settings.redis_url is not None and "REDIS_URL" not in wrong:
        checks += [partial(_ask_redis, settings)]
    if settings.broker_url is not None and "BROKER_URL" not in wrong:
        queue_type, replicas = settings.amqp_queue_type, settings.redis_replicas
        checks += [partial(ask_broker, settings.broker_url, "BROKER_URL", queue_type, replicas)]
    if settings.embedded and "REDIS_URL" not in wrong:
        checks += [partial(_refuse_replicas, settings)]
    if not wrong.keys() & {"BROKER_URL", "REDIS_URL"}:
        checks += [partial(refuse_celerys_own, settings, environ)]
    return checks


def _ask_redis(settings: Settings) -> None:
    url = str(settings.redis_url)
    layout.choose(url, settings.redis_shards)
    ask_store(url, settings.redis_replicas)
    if settings.broker_url is None and not is_cluster(url):
        ask_broker(url, "REDIS_URL")


def _refuse_replicas(settings: Settings) -> None:
    if settings.redis_replicas:
        raise ConfigurationError(
            "REDIS_REPLICAS: needs REDIS_URL, because the embedded server has no replicas"
        )


def refuse_celerys_own(settings: Settings, environ: Mapping[str, str]) -> None:
    """Refuse Celery's own variable: its consumer would use that broker, and the rest of the worker would not.

    Celery's command line sets it to BROKER_URL, which does no harm.
    """
    given = environ.get(CELERY_BROKER, "").strip()
    if given and given != broker_url(settings):
        raise ConfigurationError(
            f"{CELERY_BROKER}, which -b sets too: names another broker than BROKER_URL; set only BROKER_URL"
        )
