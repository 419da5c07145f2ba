"""Redaction at the root: the last step before a log line is rendered, whoever wrote the line.

`redactor` is a structlog processor. By field name, by registered secret and by the shapes of `worker.scrubbing` it
empties every value of the line, nested ones too, and the text of tracebacks. It never raises.

Known weakness: see `worker.scrubbing`. A bare PIN of three to five digits under a name that says nothing
(`log.info("x", n="1234")`) cannot be told from a count; nor a phone number that a producer uses as its job's id.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from worker.scrubbing import REDACTED, hidden, label, masked, scrub

SHORTEST_SECRET = 4
"""Shorter registered secrets are ignored: hiding every "a" would hide everything."""

_DEEPEST = 8
_PLAIN_NAMES = frozenset(
    {
        "account",
        "delivery",
        "endpoint",
        "event_id",
        "exchange",
        "id",
        "job",
        "level",
        "logger",
        "loop",
        "queue",
    }
    | {"ref", "source", "thread", "timestamp", "version", "worker"}
)
"""Fields whose value may be a long number without being a phone's."""

_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_:.@/+-]{1,128}")
_NUMBER_NAME = re.compile(
    r"(?:.*_)?(?:seconds|ms|us|ns|at|bytes|size|count|total|jobs|waiting|pending|pid|port|fence|id)"
)


class Redactor:
    """Knows the secrets of this process and keeps them, PINs and phone numbers out of log lines."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()
        self._shortest = SHORTEST_SECRET

    def register(self, secret: str) -> None:
        """Hide `secret`, an API key, password or `whsec_…` secret, and its encoded forms, from now on."""
        forms = {form for form in _forms(secret.strip()) if len(form) >= SHORTEST_SECRET}
        self._secrets = tuple(sorted(forms.union(self._secrets), key=len, reverse=True))
        self._shortest = min(map(len, self._secrets), default=SHORTEST_SECRET)

    def text(self, text: str) -> str:
        """`text` without registered secrets and whatever `scrub` finds."""
        return scrub(self._without_secrets(text))

    def __call__(self, _: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The structlog processor. Names that begin with an underscore are structlog's own and pass."""
        return {name: value if name[:1] == "_" else self.field(name, value) for name, value in line.items()}

    def field(self, name: str, value: object, depth: int = 0) -> Any:
        """What to print for a field: text, numbers, lists and dicts only, safe for any JSON encoder."""
        try:
            return self._named(name, value, depth)
        except Exception:  # a foreign __repr__ or __str__ may do anything
            return "[unprintable]"

    def _named(self, name: str, value: object, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if kind := label(name):
            return self._without_secrets(hidden(kind, _plain_text(value)))
        if isinstance(value, int | float) and _NUMBER_NAME.fullmatch(name):
            return _number(value)
        if name in _PLAIN_NAMES and isinstance(value, str | int) and _PLAIN_VALUE.fullmatch(str(value)):
            return self._without_secrets(value) if isinstance(value, str) else value
        return self._any(value, depth)

    def _any(self, value: object, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(str(value))
        if isinstance(value, int):
            return masked_number(int(value))
        if isinstance(value, float):
            return _number(value)
        if isinstance(value, Mapping | list | tuple | AbstractSet):
            return self._nested(value, depth) if depth < _DEEPEST else "[too deep]"
        return self.text(_plain_text(value))

    def _nested(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return {
                self.text(_plain_text(name)): self.field(_plain_text(name), item, depth + 1)
                for name, item in value.items()
            }
        return [self._after(before, item, depth) for before, item in _with_previous(value)]

    def _after(self, before: object, item: object, depth: int) -> Any:
        """An item of a sequence; the one before it may be its label, as in ("code", "1234")."""
        scalar = isinstance(item, str | bytes | int) and any(sign.isdigit() for sign in _plain_text(item))
        label = _plain_text(before) if scalar and isinstance(before, str | bytes) else ""
        return self.field(label, item, depth + 1)

    def _without_secrets(self, text: str) -> str:
        if len(text) >= self._shortest:
            for secret in self._secrets:
                if secret in text:
                    text = text.replace(secret, REDACTED)
        return text


redactor = Redactor()
"""The redactor of this process, used by every log line."""


def register_secret(secret: str) -> None:
    """Keep `secret` out of every log line of this process from now on."""
    redactor.register(secret)


def masked_number(number: int) -> int | str:
    """A whole number of 7 to 15 digits, which may be a phone's, masked; others as they are, the longest as text."""
    if abs(number) < 10**6:
        return number
    return masked(str(abs(number))) if abs(number) < 10**15 else f"{number}"


def _number(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def _with_previous(items: Any) -> list[tuple[object, object]]:
    sequence = list(items)
    return list(zip([None, *sequence], sequence, strict=False))


def _plain_text(value: object) -> str:
    """The text of a value that is about to be searched."""
    if isinstance(value, bytes | bytearray | memoryview):
        return _decoded(bytes(value))
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return str(value) if isinstance(value, int | float | PurePath) else repr(value)


def _decoded(data: bytes) -> str:
    """The text in `data`; nothing of what is not text, a pickle for one."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "[binary]"


def _forms(secret: str) -> set[str]:
    """The ways in which a secret may be spelled: as it is, quoted, in base64, and what its own base64 means."""
    encoded = secret.removeprefix("whsec_")
    forms = {secret, encoded, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}
    if encoded == secret:
        return forms
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return forms
    url_safe = base64.urlsafe_b64encode(key).decode()
    return forms | {encoded.rstrip("="), url_safe.rstrip("="), key.hex(), repr(key)[2:-1]}
