"""An account's webhooks, as the accounts file describes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from worker.configuration import secret_files
from worker.configuration.credentials import NotACredential
from worker.configuration.secret_files import WrongSecretFile
from worker.configuration.signing_secrets import SigningSecret, Version, signing_secret
from worker.configuration.urls import http_url
from worker.core.account_fields import FilePath, Name, Names, Network, Port, Rate, Table
from worker.core.limits import Pace, parse_rate
from worker.errors import ConfigurationError, every

_MEANT = {Version.V1: "whsec_… secret", Version.V1A: "whsk_… private key"}


class Endpoint(Table):
    """A webhook: the URL, the secrets that sign its events, and the events that it receives.

    The secrets are in environment variables, each with one secret, or in a file, see
    `worker/configuration/secret_files.py`.
    """

    url: Annotated[str, AfterValidator(http_url)] = Field(
        description="The address, from `http://` or `https://` on. It is shown in lists and logs, so it must not "
        "contain a user name, a token before `@` or a fragment. Each webhook of an account needs a different address."
    )
    name: Name | None = Field(
        None,
        description="Name for commands, logs and metrics, such as `orders`. Each webhook of an account needs a "
        "different name. Unset: a hash of the address, which `callworker webhooks list` shows.",
    )
    secret_env: Names = Field(
        (),
        description="Name of the environment variable that holds the secret: `whsec_` and standard base64 of 24 to 64 "
        "bytes, or a private key, see below. Use a list of names while you rotate a secret. A webhook has this or "
        "`secret_file`, not both.",
    )
    secret_file: FilePath | None = Field(
        None,
        description="File that holds the secrets, one on each line, see below. Running workers notice a change.",
    )
    signatures: Annotated[tuple[Version, ...], Field(min_length=1)] = Field(
        (Version.V1,),
        description="Kinds of signatures: `v1` (HMAC-SHA256, made with `whsec_…` secrets), `v1a` (ed25519, made with "
        "`whsk_…` private keys; needs `callworker[ed25519]`), or both. Each kind needs a secret.",
    )
    events: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("call.*",), description="Types of events that are sent to it. `*` matches any characters."
    )
    ca_file: Path | None = Field(
        None,
        description="PEM file with certificates of a private authority, trusted together with the public ones.",
    )
    concurrency: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        4, description="The most requests in flight at once, in all workers together."
    )
    rate: Rate | None = Field(
        None,
        description="The most requests in a period, in all workers together: 1 to 999999, then `/s`, `/m` or `/h`. "
        "Unset: no limit.",
    )
    allow_insecure: Annotated[bool, Field(strict=True)] = Field(
        False, description="Whether an address with `http://` is allowed, and with it port 80."
    )
    allow_ports: tuple[Port, ...] = Field(
        (),
        description="Ports that are allowed besides 443. A port that is written in `url` must be one of these.",
    )
    allow_networks: tuple[Network, ...] = Field(
        (),
        description='Networks that are not public and yet allowed, such as `"10.1.0.0/16"` or `"fd00:1::/64"`. Other '
        "addresses that are not public, such as private ones, are refused.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.secret_env) == (self.secret_file is not None):
            raise ValueError("needs exactly one of secret_env and secret_file")
        return self

    @cached_property
    def key(self) -> str:
        """The name that deliveries, people, logs and metrics use: `name`, or a hash of the URL if it has none."""
        return self.name or _hash(self.url)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """All keys under which a delivery may wait: `key`, and for a named one the hash of the URL.

        Deliveries from before it had a name have that hash.
        """
        return tuple(dict.fromkeys((self.key, _hash(self.url))))

    @cached_property
    def pace(self) -> Pace:
        """Its limits as the scripts keep them. Without a rate all but `concurrency` are 0."""
        if self.rate is None:
            return Pace(0, 0, 0, 0, self.concurrency)
        return Pace.of(*parse_rate(self.rate), burst=1, concurrency=self.concurrency)

    def wants(self, event_type: str) -> bool:
        return any(fnmatchcase(event_type, pattern) for pattern in self.events)

    def secrets(self, environ: Mapping[str, str] = os.environ) -> tuple[SigningSecret, ...]:
        """Return all secrets in the order of `secret_env` or the file, also those that no longer sign.

        Reads the file each time. Raises ConfigurationError with a line for each variable or line that is wrong, and
        for each kind of signature without a secret.
        """
        found = self._from_environment(environ) if self.secret_file is None else _from_file(self.secret_file)
        problems = [*self._surplus(found), *self._missing(found)]
        if problems:
            raise ConfigurationError(*problems)
        return found

    def _from_environment(self, environ: Mapping[str, str]) -> tuple[SigningSecret, ...]:
        return tuple(every(partial(_from_variable, name, environ) for name in self.secret_env))

    def _surplus(self, found: tuple[SigningSecret, ...]) -> list[str]:
        return [
            f"{self._place(secret)} holds a {_MEANT[secret.version]}; it needs {secret.version.value} in signatures"
            for secret in found
            if secret.version not in self.signatures
        ]

    def _place(self, secret: SigningSecret) -> str:
        return (
            secret.source if self.secret_file is None else f"secret_file {self.secret_file}: {secret.source}"
        )

    def _missing(self, found: tuple[SigningSecret, ...]) -> list[str]:
        has = {secret.version for secret in found}
        place = "secret_env" if self.secret_file is None else f"secret_file {self.secret_file}"
        return [
            f"{place} holds no {_MEANT[version]}, which {version.value} in signatures needs"
            for version in self.signatures
            if version not in has
        ]


def _hash(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:12]


def _from_variable(name: str, environ: Mapping[str, str]) -> SigningSecret:
    source = f"environment variable {name}"
    try:
        return signing_secret(environ.get(name, ""), source)
    except NotACredential as error:
        raise ConfigurationError(f"{source} {error}") from None


def _from_file(path: Path) -> tuple[SigningSecret, ...]:
    try:
        return secret_files.read(path)
    except WrongSecretFile as error:
        raise ConfigurationError(*(_told(path, cause) for cause in error.causes)) from None


def _told(path: Path, cause: str) -> str:
    colon = ":" if cause.startswith("line ") else ""
    return f"secret_file {path}{colon} {cause}"
