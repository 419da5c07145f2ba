"""Redaction at the root: the last step before a log line is rendered, for the lines of all libraries.

`redactor` is a structlog processor. It hides secrets in every value of the line, also in nested values and in
tracebacks: by the name of the field, by registered secret, and by the shapes of `worker.privacy.scrubbing`. It never
raises.

Known weakness: see `worker.privacy.scrubbing`. A PIN of three to five digits under a name without meaning
(`log.info("x", n="1234")`) looks like a count, and a phone number that a producer uses as a job's id looks like an id.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from worker.privacy.addresses import passwords
from worker.privacy.labelled import REDACTED, Label, hidden, label, masked
from worker.privacy.scrubbing import MAX_TEXT, bounded, scrub

MIN_SECRET = 4
"""Characters. Shorter registered secrets are ignored: hiding every "a" would hide everything."""

MAX_FIELD, MAX_DEPTH = 64 * 1024, 8
"""Characters of one field of a line with all that it contains, and levels of nested values."""

NODE_SIZE = 32
"""Characters that each value counts in addition to its text."""

CUT = "[cut]"

_PLAIN_NAMES = frozenset(
    {
        "account",
        "accounts_file",
        "accounts_file_before",
        "delivery",
        "endpoint",
        "event_id",
        "exchange",
        "id",
        "job",
        "job_id",
        "level",
        "logger",
        "loop",
        "queue",
    }
    | {"ref", "source", "thread", "timestamp", "version", "worker"}
)
"""Fields whose value may be a long number that is not a phone number."""

_DIGIT = re.compile(r"\d")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_:.@/+-]{1,128}")
_NUMBER_NAME = re.compile(
    r"(?:.*_)?(?:seconds|ms|us|ns|at|bytes|size|count|total|jobs|waiting|pending|pid|port|fence|id)"
)


class Room:
    """Counts the space that a field may still take, so that a structure that repeats parts of itself ends too."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_FIELD

    def admit(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the items that fit, and CUT in place of the rest."""
        for item in items:
            if self._left <= 0:
                yield CUT
                return
            self.spend(item)
            yield item

    def spend(self, item: object) -> None:
        """Count the space of a value."""
        self._left -= NODE_SIZE + (min(len(item), MAX_TEXT) if isinstance(item, str | bytes) else 0)


class Redactor:
    """Keeps the secrets of this process, PINs and phone numbers out of log lines."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._forms: set[str] = set()
        # By their first characters, the lengths of the forms, the greatest first: the cost of a text does not grow with
        # the number of secrets.
        self._lengths: dict[str, tuple[int, ...]] = {}
        self._starts = 0, re.compile("(?!)")
        self._shortest = MAX_FIELD

    def register(self, secret: str) -> None:
        """Hide `secret` and its encoded forms from now on: a key, a password, or a `whsec_…` or `whsk_…` secret."""
        if secret in self._known:
            return
        for form in _forms(secret.strip()):
            if len(form) >= MIN_SECRET:
                self._forms.add(form)
                start = form[:MIN_SECRET]
                lengths = {len(form), *self._lengths.get(start, ())}
                self._lengths[start] = tuple(sorted(lengths, reverse=True))
                self._shortest = min(self._shortest, len(form))
        self._known.add(secret)

    def text(self, text: str) -> str:
        """Hide registered secrets, and all that `scrub` finds, in `text`."""
        if len(text) <= MAX_TEXT:
            return scrub(self._without_secrets(text))
        return bounded(text, lambda part: scrub(self._without_secrets(part)))

    def __call__(self, _: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Redact a line as a structlog processor. Names with a leading underscore are structlog's own and pass."""
        return {name: value if name[:1] == "_" else self.field(name, value) for name, value in line.items()}

    def field(self, name: str, value: object, depth: int = 0, room: Room | None = None) -> Any:
        """The value to print for a field: only text, numbers, lists and dicts, safe for any JSON encoder.

        `room` is the room of the enclosing value.
        """
        try:
            return self._named(name, value, depth, room)
        except Exception:  # A foreign __repr__ or __str__ may do anything.
            return "[unprintable]"

    def _named(self, name: str, value: object, depth: int, room: Room | None) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if kind := label(name):
            return self._labelled(kind, value)
        if isinstance(value, int | float) and _NUMBER_NAME.fullmatch(name):
            return _number(value)
        if name in _PLAIN_NAMES and isinstance(value, str | int) and _PLAIN_VALUE.fullmatch(str(value)):
            return self._without_secrets(value) if isinstance(value, str) else value
        return self._any(value, depth, room)

    def _labelled(self, kind: Label, value: object) -> str:
        if kind is Label.SECRET or not isinstance(value, str | bytes | int):
            return REDACTED
        return self._without_secrets(hidden(kind, _plain_text(value)))

    def _any(self, value: object, depth: int, room: Room | None) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(str(value))
        if isinstance(value, int):
            return masked_number(int(value))
        if isinstance(value, float):
            return _number(value)
        if isinstance(value, Mapping | list | tuple | AbstractSet):
            return self._nested(value, depth + 1, room or Room()) if depth < MAX_DEPTH else "[too deep]"
        return self.text(_plain_text(value))

    def _nested(self, value: Any, depth: int, room: Room) -> Any:
        if isinstance(value, Mapping):
            return dict(self._member(name, value.get(name), depth, room) for name in room.admit(value))
        before: object = None
        found = []
        for item in room.admit(value):
            found.append(self.field(_label_of(item, before), item, depth, room))
            before = item
        return found

    def _member(self, name: object, value: object, depth: int, room: Room) -> tuple[str, Any]:
        room.spend(value)
        text = _plain_text(name)
        return self.text(text), self.field(text, value, depth, room)

    def _without_secrets(self, text: str) -> str:
        if len(text) < self._shortest or (pattern := self._start_pattern()).search(text) is None:
            return text
        parts, end = list[str](), 0
        for start, stop in self._found(pattern, text):
            # Two that overlap are hidden as one: what one leaves over would tell of the other.
            if start >= end:
                parts += text[end:start], REDACTED
            end = max(end, stop)
        return "".join([*parts, text[end:]]) if parts else text

    def _found(self, pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
        """Yield where secrets begin and end in `text`, at each place the longest one."""
        for match in pattern.finditer(text):
            place = match.start()
            for length in self._lengths.get(text[place : place + MIN_SECRET], ()):
                if text[place : place + length] in self._forms:
                    yield place, place + length
                    break

    def _start_pattern(self) -> re.Pattern[str]:
        """Return what matches wherever a secret may start, and few other places if there are few secrets."""
        known, pattern = self._starts
        if len(self._lengths) != known:
            # Another thread may register a secret meanwhile.
            starts = list(self._lengths)
            columns = ("".join(sorted(set(column))) for column in zip(*starts, strict=True))
            pattern = re.compile("(?=" + "".join(f"[{re.escape(column)}]" for column in columns) + ")")
            self._starts = len(starts), pattern
        return pattern


redactor = Redactor()
"""The redactor of this process, used by every log line."""


def register_secret(*secrets: str) -> None:
    """Keep `secrets` out of every log line of this process from now on."""
    for secret in secrets:
        redactor.register(secret)


def _label_of(item: object, before: object) -> str:
    """The item before an item of a sequence, which may be its label, as in ("code", "1234")."""
    scalar = isinstance(item, str | bytes | int) and _DIGIT.search(_plain_text(item)) is not None
    return _plain_text(before) if scalar and isinstance(before, str | bytes) else ""


ADDRESSES = ("BROKER_URL", "CELERY_BROKER_URL", "PROXSTOP_URL", "REDIS_URL", "WEBHOOK_PROXY")
KNOWN_PASSWORDS = frozenset({"guest", "rabbitmq", "redis", "valkey"})
"""Default passwords of brokers. They are not secret, and hiding them would hide the names of servers in every line."""


def register_passwords(environ: Mapping[str, str] = os.environ) -> None:
    """Keep the passwords in the addresses of the environment out of every line, as written and unquoted."""
    for name in ADDRESSES:
        for password in set(passwords(environ.get(name, ""))) - KNOWN_PASSWORDS:
            redactor.register(password)


def masked_number(number: int) -> int | str:
    """Mask an integer of 7 to 15 digits, which may be a phone number. Others stay; the longest become text."""
    if abs(number) < 10**6:
        return number
    return masked(str(abs(number))) if abs(number) < 10**15 else f"{number}"


def _number(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def _plain_text(value: object) -> str:
    """The text of a value, ready to be searched."""
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
    """Decode `data`. Nothing is shown of binary data such as a pickle."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "[binary]"


def _forms(secret: str) -> set[str]:
    """The spellings of a secret: as it is, quoted, in base64, and decoded if it is base64 itself."""
    encoded = secret.removeprefix("whsec_").removeprefix("whsk_")
    forms = {secret, encoded, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}
    if encoded == secret:
        return forms
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return forms
    url_safe = base64.urlsafe_b64encode(key).decode()
    return forms | {encoded.rstrip("="), url_safe.rstrip("="), key.hex(), repr(key)[2:-1]}
