"""Lists the settings for an operator: name, value, and the source of the value."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from worker.broker import address
from worker.embedded.errors import EmbeddedServerError
from worker.privacy.addresses import mask_url
from worker.settings import Settings

ENVIRONMENT, DEFAULT = "environment", "default"

_UNSET = {
    "amqp_queue_type": "the broker's own",
    "proxstop_ca_file": "none",
    "webhook_contact": "none",
    "webhook_proxy": "none",
    "operator": "the user of the command",
}
"""What holds for settings that have no value."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One setting. `value` contains no secret."""

    name: str
    value: str
    source: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def listed(
    settings: Settings, wrong: Collection[str] = (), environ: Mapping[str, str] = os.environ
) -> list[Listed]:
    """List every setting by the name of its variable. `wrong` names those with an invalid value."""
    return [
        _wrong(str(info.alias), environ)
        if info.alias in wrong
        else _listed(field, str(info.alias), settings, environ)
        for field, info in Settings.model_fields.items()
    ]


def _wrong(name: str, environ: Mapping[str, str]) -> Listed:
    """List a setting with an invalid value. The value is not shown if it could be a secret."""
    given = environ.get(name, "").strip()
    harmless = not name.endswith(("_URL", "_PROXY")) and re.fullmatch(r"[A-Za-z0-9.+-]{1,12}", given)
    return Listed(name, given if harmless else "(not valid, therefore not shown)", ENVIRONMENT)


def _listed(field: str, name: str, settings: Settings, environ: Mapping[str, str]) -> Listed:
    value = getattr(settings, field)
    if value is None:
        return Listed(name, *_followed(field, settings))
    return Listed(name, mask_url(str(value)), ENVIRONMENT if environ.get(name, "").strip() else DEFAULT)


def _followed(field: str, settings: Settings) -> tuple[str, str]:
    """The value of a setting that is not set, and its source."""
    if field == "broker_url" and not settings.embedded:
        return mask_url(address.broker_url(settings)), f"{DEFAULT} (REDIS_URL)"
    if field in _UNSET:
        return _UNSET[field], DEFAULT
    try:
        embedded = {
            "broker_url": address.broker_url,
            "redis_url": address.redis_url,
            "state_dir": address.state_dir,
        }
        return str(embedded[field](settings)), f"{DEFAULT} (embedded server)"
    except EmbeddedServerError as error:
        return f"({error})", DEFAULT
