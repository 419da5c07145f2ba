"""The accounts file: which API key pays for a call, at what rate, and which webhooks receive the event.

The format is TOML with one table `accounts.NAME` for each account. Source: docs/reference/contract.md, "Accounts
file"; an example is `config/accounts.toml`.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from worker.configuration.credentials import NotACredential, api_key
from worker.configuration.textfiles import NotText, UnreadableFile, read_text, read_toml
from worker.core.account_fields import CallingCode, FilePath, Rate, Table, Variable, WholeNumber
from worker.core.endpoints import Endpoint
from worker.core.jobs import ACCOUNT_PATTERN
from worker.core.limits import Pace, parse_rate
from worker.core.retry import Budget
from worker.errors import ConfigurationError, every
from worker.settings import example_accounts


class Account(Table):
    """One provider account and its limits. Each field: docs/reference/contract.md, "Accounts file"."""

    name: str
    api_key_env: Variable | None = Field(
        None, description="Name of the environment variable that holds the provider's API key."
    )
    api_key_file: FilePath | None = Field(
        None, description="File that holds only the API key. An account has this or `api_key_env`, not both."
    )
    rate: Rate = Field(
        description="The most requests to the provider in a period: 1 to 999999, then `/s`, `/m` or `/h`."
    )
    burst: WholeNumber = Field(
        1,
        description="Requests that may follow each other at once. No window holds more than `rate` + `burst`.",
    )
    concurrency: WholeNumber = Field(
        20, description="The most requests in flight at once, in all workers together."
    )
    ttl: WholeNumber = Field(600, description="Seconds until a job without `expires_at` expires.")
    attempts: WholeNumber = Field(5, description="Attempts per job while the phone certainly has not rung.")
    redials: Annotated[int, Field(strict=True, ge=0, le=100)] = Field(
        1, description="Further requests after one that may have rung the phone."
    )
    countries: tuple[CallingCode, ...] | None = Field(
        None, description="Country calling codes that may be dialled. Unset: all."
    )
    webhooks: tuple[Endpoint, ...] = Field(
        (), description="The receivers of the account's events; see below."
    )

    @model_validator(mode="after")
    def _webhooks_differ(self) -> Self:
        urls = [endpoint.url for endpoint in self.webhooks]
        if len(set(urls)) < len(urls):
            raise ValueError("webhooks must have different urls; put all events of one url into one table")
        names = [name for endpoint in self.webhooks for name in endpoint.keys]
        if len(set(names)) < len(names):
            raise ValueError(
                "webhooks must have different names; a name may not be the hash of another's url"
            )
        return self

    @cached_property
    def pace(self) -> Pace:
        requests, period_us = parse_rate(self.rate)
        return Pace.of(requests, period_us, self.burst, self.concurrency)

    @cached_property
    def budget(self) -> Budget:
        return Budget(self.attempts, self.redials)

    def may_dial(self, country: str) -> bool:
        return self.countries is None or country in self.countries

    def api_key(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return the provider's key. Raises ConfigurationError, which names the variable or file, never the key."""
        try:
            return api_key(self._key_text(environ))
        except (UnreadableFile, NotACredential) as error:
            raise ConfigurationError(f"account {self.name}: the {self._key_source} {error}") from None

    def secrets(self, environ: Mapping[str, str] = os.environ) -> list[str]:
        """Return the API key and the webhook secrets, as text.

        Raises ConfigurationError with a line for each one that cannot be used.
        """
        parts: list[Callable[[], list[str]]] = [
            lambda: [self.api_key(environ)],
            partial(self._hook_secrets, environ),
        ]
        return [secret for part in every(parts) for secret in part]

    @property
    def _key_source(self) -> str:
        if self.api_key_file is not None:
            return f"file {self.api_key_file}"
        return f"environment variable {self.api_key_env}"

    def _key_text(self, environ: Mapping[str, str]) -> str:
        if self.api_key_file is not None:
            return read_text(self.api_key_file)
        return environ.get(self.api_key_env or "", "")

    def _hook_secrets(self, environ: Mapping[str, str]) -> list[str]:
        try:
            keys = every(partial(endpoint.secrets, environ) for endpoint in self.webhooks)
        except ConfigurationError as error:
            raise error.under(f"account {self.name}: the ") from None
        # Redaction must also know a secret in the spelling that the operator chose.
        return list(dict.fromkeys(text for found in keys for secret in found for text in secret.spellings))

    def endpoints_for(self, event_type: str) -> tuple[Endpoint, ...]:
        return tuple(endpoint for endpoint in self.webhooks if endpoint.wants(event_type))


class Accounts(Mapping[str, Account]):
    """All accounts by name."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = dict(accounts)

    def __getitem__(self, name: str) -> Account:
        return self._accounts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._accounts)

    def __len__(self) -> int:
        return len(self._accounts)

    def endpoints(self) -> list[tuple[str, Endpoint]]:
        """Return each webhook of all accounts, with its account's name."""
        return [(name, hook) for name, account in self.items() for hook in account.webhooks]

    @cached_property
    def digest(self) -> str:
        """A short hash of the contents. Comments, order and values equal to the default do not change it."""
        dump = {
            name: one.model_dump(mode="json", exclude_defaults=True) for name, one in self._accounts.items()
        }
        return hashlib.sha256(json.dumps(dump, sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Raises ConfigurationError with a line for each fault: the file, the place and the rule."""
        accounts, faults = cls.valid_part(path)
        if faults:
            raise ConfigurationError(*faults)
        return accounts

    @classmethod
    def valid_part(cls, path: Path) -> tuple[Self, list[str]]:
        """Return the valid accounts of a file, and a line for each fault of the file or of its other accounts."""
        try:
            document = read_toml(path)
        except NotText as error:
            return cls({}), [f"accounts file {path}: {error}"]
        except UnreadableFile as error:
            rule = f"allowed is the path of a TOML file; an example is {example_accounts()}"
            return cls({}), [f"ACCOUNTS_FILE: {path}: {error}; {rule}"]
        except ValueError as error:
            return cls({}), [f"accounts file {path}: not valid TOML: {error}"]
        accounts, faults = _valid(document)
        return cls(accounts), [f"accounts file {path}: {fault}" for fault in faults]

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the accounts of a TOML document. Raises ConfigurationError with a line for each fault."""
        accounts, faults = _valid(document)
        if faults:
            raise ConfigurationError(*faults)
        return cls(accounts)

    def variables(self) -> set[str]:
        """Return the names of all environment variables that hold an API key or a webhook secret."""
        keys = {account.api_key_env for account in self.values() if account.api_key_env is not None}
        hooks = [hook for account in self.values() for hook in account.webhooks]
        return keys.union(*(hook.secret_env for hook in hooks))

    def secrets(self, environ: Mapping[str, str] = os.environ) -> list[str]:
        """Return every API key and webhook secret, as text.

        Raises ConfigurationError with a line for each one that cannot be used.
        """
        found = every(partial(account.secrets, environ) for account in self.values())
        return [secret for secrets in found for secret in secrets]


def _valid(document: Mapping[str, Any]) -> tuple[dict[str, Account], list[str]]:
    tables = document.get("accounts")
    if not isinstance(tables, dict) or not tables or set(document) != {"accounts"}:
        return {}, ["must hold at least one table [accounts.NAME], and nothing else"]
    accounts, faults = dict[str, Account](), list[str]()
    with _no_search_for_cycles():
        for name, table in tables.items():
            try:
                accounts[name] = _account(name, table)
            except ConfigurationError as error:
                faults += error.problems
    return accounts, faults


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Keep the garbage collector from going through all accounts again and again while their number grows."""
    searches = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searches:
            gc.enable()


def _account(name: str, table: object) -> Account:
    if not ACCOUNT_PATTERN.fullmatch(name):
        raise ConfigurationError(f"accounts.{name}: a name has 1 to 64 characters of A-Z a-z 0-9 _ . -")
    if not isinstance(table, dict):
        raise ConfigurationError(f"accounts.{name}: must be a table")
    if "name" in table:
        raise ConfigurationError(f"accounts.{name}.name: is not a field; the table's name is the account's")
    problems = _key_faults(name, table)
    try:
        account = Account.model_validate(table | {"name": name})
    except ValidationError as error:
        problems += [_line(name, fault) for fault in error.errors(include_url=False, include_input=False)]
    if problems:
        raise ConfigurationError(*problems)
    return account


def _key_faults(name: str, table: dict[str, Any]) -> list[str]:
    has_one = ("api_key_env" in table) != ("api_key_file" in table)
    return [] if has_one else [f"accounts.{name}: needs exactly one of api_key_env and api_key_file"]


def _line(name: str, fault: Any) -> str:
    place = ".".join(str(part) for part in ("accounts", name, *fault["loc"]))
    return f"{place}: {fault['msg'].removeprefix('Value error, ')}"
