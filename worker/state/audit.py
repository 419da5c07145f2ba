"""The audit trail: what operators did by commands, when, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import redis

from worker.core.events import rfc3339
from worker.privacy.redaction import redactor
from worker.redisio.texts import ScriptCall
from worker.redisio.translation import store_errors
from worker.state import keys
from worker.state.lua import store_scripts

MAX_KEEP = 10_000
"""Entries."""

MAX_TEXT = 500
"""Characters of `why`, and of each text in `detail`."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act of an operator. `act` is the command without `callworker`, such as `webhooks enable`.

    `account`, `endpoint` and `job` name what it was done to and are empty if they do not apply. `detail` has further
    facts, as JSON values. `at_ms` is Redis' own time in Unix milliseconds; the trail sets it.
    """

    act: str
    who: str
    host: str
    why: str = ""
    account: str = ""
    endpoint: str = ""
    job: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    at_ms: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the act as a JSON object: the time as RFC 3339, null for what does not apply."""
        told = {name: value or None for name, value in asdict(self).items() if name != "at_ms"}
        return {"at": rfc3339(self.at_ms * 1000), **told, "detail": dict(self.detail)}


class AuditTrail:
    """A list of acts in Redis, newest first. At most `MAX_KEEP` are kept."""

    def __init__(self, client: redis.Redis) -> None:
        self._client, self._scripts = client, store_scripts(client)

    def write(self, act: Act) -> None:
        """Put an act on the trail before it is done. What looks like a secret, PIN or phone number is masked.

        Raises StoreUnavailable or WrongKey; the act must not be done then. The entry says that the act was begun: it
        may still have failed.
        """
        entry = asdict(replace(act, why=_clean(act.why), detail=_cleaned(act.detail)))
        del entry["at_ms"]
        self._scripts.run(ScriptCall("note_act", keys.AUDIT, (json.dumps(entry), MAX_KEEP)))

    def newest(self, most: int, since_ms: int = 0) -> list[Act]:
        """Return at most `most` acts, newest first, none from before `since_ms`. Raises StoreUnavailable."""
        with store_errors():
            rows: Any = self._client.lrange(keys.AUDIT, 0, -1)
        return [act for act in map(_read, rows) if act.at_ms >= since_ms][:most]


def _cleaned(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _clean(value) if isinstance(value, str) else value for name, value in detail.items()}


def _clean(text: str) -> str:
    return redactor.text(" ".join(text.split())[:MAX_TEXT])


_NAMES = frozenset(part.name for part in fields(Act))


def _read(row: bytes) -> Act:
    """Read an entry. Ignores fields that only another version knows."""
    return Act(**{name: value for name, value in json.loads(row).items() if name in _NAMES})
