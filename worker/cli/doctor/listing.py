"""The settings as an operator may see them: name, value, where the value comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from worker.broker import address
from worker.cli import places
from worker.embedded.errors import EmbeddedServerError
from worker.privacy.addresses import mask_url
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


def listed(
    settings: Settings, wrong: Collection[str] = (), environ: Mapping[str, str] = os.environ
) -> list[Listed]:
    """Every setting by its variable's name; `wrong` are those whose value is not valid."""
    return [
        _wrong(str(info.alias), environ)
        if info.alias in wrong
        else _listed(field, str(info.alias), settings, environ)
        for field, info in Settings.model_fields.items()
    ]


def _wrong(name: str, environ: Mapping[str, str]) -> Listed:
    """A value that may be a secret under a wrong name is not shown."""
    given = environ.get(name, "").strip()
    harmless = not name.endswith("_URL") and re.fullmatch(r"[A-Za-z0-9.+-]{1,12}", given)
    return Listed(name, given if harmless else "(not valid, and so not shown)", ENVIRONMENT)


def _listed(field: str, name: str, settings: Settings, environ: Mapping[str, str]) -> Listed:
    value = getattr(settings, field)
    if value is None:
        return Listed(name, *_followed(field, settings))
    return Listed(name, mask_url(str(value)), ENVIRONMENT if environ.get(name, "").strip() else DEFAULT)


def _followed(field: str, settings: Settings) -> tuple[str, str]:
    """The value of a setting that is absent, and what it follows from."""
    if field == "broker_url" and not settings.embedded:
        return mask_url(address.broker_url(settings)), f"{DEFAULT} (REDIS_URL)"
    if field == "amqp_queue_type":
        return "the broker's own", DEFAULT
    if field == "proxstop_ca_file":
        return "none", DEFAULT
    try:
        embedded = {
            "broker_url": address.broker_url,
            "redis_url": places.redis_url,
            "state_dir": places.state_dir,
        }
        return str(embedded[field](settings)), f"{DEFAULT} (embedded server)"
    except EmbeddedServerError as error:
        return f"({error})", DEFAULT
