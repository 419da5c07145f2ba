"""The accounts file: who pays for a call, at what rate, and who is told what came of it.

Format: TOML, one table `accounts.NAME` per account; see "Accounts file" in the contract and `config/accounts.toml`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from worker.errors import ConfigurationError
from worker.jobs import ACCOUNT_PATTERN
from worker.limits import Pace, parse_rate
from worker.retry import Budget


def _rate(text: str) -> str:
    parse_rate(text)
    return text


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.port == 0
        or parts.username
        or parts.fragment
    ):
        raise ValueError("must be an http or https URL without a user name or fragment")
    return text


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


Whole = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Endpoint(_Table):
    """A webhook subscriber: where, signed with which secrets, for which events.

    `secret_env` names environment variables that each hold one `whsec_…` secret; several while rotating.
    """

    url: Annotated[str, AfterValidator(_http_url)]
    secret_env: Names
    events: Annotated[tuple[str, ...], Field(min_length=1)] = ("call.*",)

    @cached_property
    def key(self) -> str:
        """A short stable name of the URL, by which a waiting delivery finds its endpoint again."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:12]

    def wants(self, event_type: str) -> bool:
        return any(fnmatchcase(event_type, pattern) for pattern in self.events)

    def secrets(self, environ: Mapping[str, str] = os.environ) -> tuple[bytes, ...]:
        """The signing keys, newest first as listed. Raises ConfigurationError that names the variable."""
        return tuple(_signing_key(name, environ.get(name)) for name in self.secret_env)


class Account(_Table):
    """One provider account and its limits. See the contract for each field."""

    name: str
    api_key_env: str | None = None
    api_key_file: Path | None = None
    rate: Annotated[str, AfterValidator(_rate)]
    burst: Whole = 1
    concurrency: Whole = 20
    ttl: Whole = 600
    attempts: Whole = 5
    redials: Annotated[int, Field(strict=True, ge=0, le=100)] = 1
    countries: tuple[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")], ...] | None = None
    webhooks: tuple[Endpoint, ...] = ()

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.api_key_env is None) == (self.api_key_file is None):
            raise ValueError("needs exactly one of api_key_env and api_key_file")
        return self

    @model_validator(mode="after")
    def _urls_differ(self) -> Self:
        urls = [endpoint.url for endpoint in self.webhooks]
        if len(set(urls)) < len(urls):
            raise ValueError(
                "webhooks must have different urls; put all event types of one url into one table"
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
        """The provider's key. Raises ConfigurationError that names the variable or file, never the key."""
        if self.api_key_file is not None:
            source, key = f"file {self.api_key_file}", _first_line(self.api_key_file)
        else:
            source, key = f"environment variable {self.api_key_env}", environ.get(self.api_key_env or "", "")
        if not key.strip():
            raise ConfigurationError(f"account {self.name}: the {source} holds no API key")
        return key.strip()

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

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Raises ConfigurationError: one line with the file, the place in it and the rule."""
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as problem:
            reason = f"{problem.strerror or problem}; allowed is the path of a readable TOML file"
            raise ConfigurationError(f"ACCOUNTS_FILE: {path}: {reason}") from problem
        except ValueError as problem:
            raise ConfigurationError(f"accounts file {path}: not valid TOML: {problem}") from problem
        try:
            return cls.parse(document)
        except ConfigurationError as problem:
            raise ConfigurationError(f"accounts file {path}: {problem}") from problem

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """The accounts of a TOML document that is already read. Raises ConfigurationError."""
        tables = document.get("accounts")
        if not isinstance(tables, dict) or not tables or set(document) != {"accounts"}:
            raise ConfigurationError("must hold tables [accounts.NAME], at least one, and nothing else")
        return cls({name: _account(name, table) for name, table in tables.items()})

    def secrets(self, environ: Mapping[str, str] = os.environ) -> list[str]:
        """Every API key and webhook secret, as text. Raises ConfigurationError for the first that is not usable."""
        found = []
        for account in self.values():
            found.append(account.api_key(environ))
            for endpoint in account.webhooks:
                endpoint.secrets(environ)
                found += [environ[name] for name in endpoint.secret_env]
        return found


def _account(name: str, table: object) -> Account:
    if not ACCOUNT_PATTERN.fullmatch(name):
        raise ConfigurationError(f"accounts.{name}: a name has 1 to 64 characters of A-Z a-z 0-9 _ . -")
    if not isinstance(table, dict):
        raise ConfigurationError(f"accounts.{name}: must be a table")
    if "name" in table:
        raise ConfigurationError(
            f"accounts.{name}.name: is not a field; the table's own name is the account's"
        )
    try:
        return Account.model_validate(table | {"name": name})
    except ValidationError as problem:
        error = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in ("accounts", name, *error["loc"]))
        raise ConfigurationError(f"{place}: {error['msg'].removeprefix('Value error, ')}") from None


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return ""


def _signing_key(name: str, text: str | None) -> bytes:
    if not text:
        raise ConfigurationError(f"environment variable {name}: holds no webhook secret")
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith("whsec_") or len(key) < 16:
        raise ConfigurationError(
            f"environment variable {name}: must be whsec_ and base64 of at least 16 bytes"
        )
    return key
