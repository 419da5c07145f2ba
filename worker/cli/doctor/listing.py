"""The settings as an operator may see them: name, value, where the value comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from worker.broker import address
from worker.cli import places
from worker.embedded.errors import EmbeddedServerError
from worker.scrubbing import REDACTED
from worker.settings import Settings

ENVIRONMENT, DEFAULT = "environment", "default"


@dataclass(frozen=True, slots=True)
class Listed:
    """One setting; `value` holds no secret."""

    name: str
    value: str
    source: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def listed(settings: Settings | None, environ: Mapping[str, str] = os.environ) -> list[Listed]:
    """Every setting by its variable's name; what stands in the environment alone where `settings` is None."""
    return [
        _listed(field, str(info.alias), settings, environ)
        for field, info in Settings.model_fields.items()
        if settings is not None or environ.get(str(info.alias), "").strip()
    ]


def _listed(field: str, name: str, settings: Settings | None, environ: Mapping[str, str]) -> Listed:
    given = environ.get(name, "").strip()
    value = given if settings is None else getattr(settings, field)
    if value is None and settings is not None:
        return Listed(name, *_followed(field, settings))
    return Listed(name, masked(str(value)), ENVIRONMENT if given else DEFAULT)


def _followed(field: str, settings: Settings) -> tuple[str, str]:
    """The value of a setting that is absent, and what it follows from."""
    if field == "broker_url" and not settings.embedded:
        return masked(address.broker_url(settings)), f"{DEFAULT} (REDIS_URL)"
    if field == "amqp_queue_type":
        return "the broker's own", DEFAULT
    try:
        embedded = {
            "broker_url": address.broker_url,
            "redis_url": places.redis_url,
            "state_dir": places.state_dir,
        }
        return str(embedded[field](settings)), f"{DEFAULT} (embedded server)"
    except EmbeddedServerError as problem:
        return f"({problem})", DEFAULT


def masked(value: str) -> str:
    """The value without the passwords of the addresses in it; of an address' query only the names are kept."""
    return ";".join(_masked_url(part) if "://" in part else part for part in value.split(";"))


def _masked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("://")[0] + "://" + REDACTED
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    netloc = f"{name}{colon}{REDACTED if colon else ''}{at}{host}"
    query = "&".join(pair.partition("=")[0] + "=" + REDACTED for pair in parts.query.split("&") if pair)
    # Not geturl(): it would write unix:///path with one slash.
    return f"{parts.scheme}://{netloc}{parts.path}{'?' if query else ''}{query}"
