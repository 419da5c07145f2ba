"""The names on the broker from which events are read. Source: docs/reference/events.md, "Results queue"."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable

from callworker.errors import ConfigurationError

EXCHANGE = "results"
LISTENERS = "results.listen."
"""Queues with such a name live no longer than their one reader, and workers do not make them again."""
MAX_NAME = 200

_WORD = r"(?:[A-Za-z0-9_-]+|\*|#)"
_PATTERN = re.compile(rf"{_WORD}(?:\.{_WORD})*")
_NAME = re.compile(rf"[A-Za-z0-9_.:-]{{1,{MAX_NAME}}}")
_OF_JOBS = re.compile(r"calls(\..*)?")


def listener() -> str:
    """Return a new name for a queue of one reader's own."""
    return f"{LISTENERS}{uuid.uuid4().hex}"


def checked_types(types: str | Iterable[str]) -> tuple[str, ...]:
    """Return the patterns of types, such as `call.*`. Raises ConfigurationError for what cannot be one."""
    patterns = (types,) if isinstance(types, str) else tuple(types)
    if not patterns or not all(isinstance(one, str) and _PATTERN.fullmatch(one) for one in patterns):
        raise ConfigurationError('types: must be types of events, such as "call.failed" or "call.*"')
    return patterns


def checked_queue(name: str) -> str:
    """Return the name of a durable queue. Raises ConfigurationError for what cannot be one."""
    if not _NAME.fullmatch(name) or _OF_JOBS.fullmatch(name) or name.startswith(LISTENERS):
        raise ConfigurationError(
            f"queue: must be 1 to {MAX_NAME} characters of A-Z a-z 0-9 _ . : - and no queue of callworker's own, "
            'such as "results.orders"'
        )
    return name


def matches(pattern: str, kind: str) -> bool:
    """Tell whether a topic exchange that is bound with `pattern` routes events of the type `kind` there."""
    return _matches(pattern.split("."), kind.split("."))


def _matches(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_matches(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _matches(rest, words[1:])
