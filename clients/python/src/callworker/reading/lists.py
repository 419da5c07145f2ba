"""Queues of events that are lists in Redis: their keys, their bindings, and the scripts that read them.

Workers put events into the lists as kombu does. Source: kombu 5, kombu/transport/redis.py, `_queue_bind` and `_put`.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from callworker.reading.names import EXCHANGE, LISTENERS, listener

LIFE_MS = 60_000
"""How long a list of one reader's own outlives the last look at it."""
LEASE_MS = 60_000
"""How long a reader of a durable queue has an event before the event is given to another reader."""
MAX_TAKEN = 1000

BINDINGS = (f"_kombu.binding.{EXCHANGE}", f"_kombu.binding_permanent.{EXCHANGE}")
_SEPARATOR = "\x06\x16"
_WILDCARDS = {"*": r"[^\.]+", "#": r".*?"}


class Queue(Protocol):
    """One queue as a list in Redis. `name` is its key."""

    name: str
    types: Sequence[str]

    def make(self, pipeline: Any) -> None:
        """Add to `pipeline` what makes the list, without its bindings."""

    def look(self) -> tuple[Any, ...]:
        """Return the arguments of EVAL that takes the next events."""

    def found(self, reply: Any) -> list[bytes] | None:
        """Read its reply: the bodies of events, oldest first. None if the queue is gone."""

    def leave(self, pipeline: Any) -> None:
        """Add to `pipeline` what a reader does at its end."""


def queue_of(types: Sequence[str], name: str | None) -> Queue:
    """Return the list with that name, or without one a list of one reader's own."""
    return OwnList(types) if name is None else DurableList(name, types)


class OwnList:
    """A list of one reader's own. What is read is removed at once, and the list goes with its reader."""

    def __init__(self, types: Sequence[str]) -> None:
        self.name, self.types = listener(), types

    def make(self, pipeline: Any) -> None:
        pipeline.eval(_script("make_own"), 1, self.name, LIFE_MS)

    def look(self) -> tuple[Any, ...]:
        return _script("take_own"), 1, self.name, MAX_TAKEN, LIFE_MS

    def found(self, reply: Any) -> list[bytes] | None:
        return None if reply is None else [_body(row) for row in reversed(reply)]

    def leave(self, pipeline: Any) -> None:
        _bind(pipeline.srem, self)
        pipeline.delete(self.name)


class DurableList:
    """A list that outlives its readers, who share its events. Each event is taken once the one before it is done."""

    def __init__(self, name: str, types: Sequence[str]) -> None:
        self.name, self.types = name, types
        self._reader = uuid.uuid4().hex
        self._done = False

    def make(self, pipeline: Any) -> None:
        """Nothing: a list is made by the first event in it."""

    def look(self) -> tuple[Any, ...]:
        done, self._done = self._done, False
        return self._take("done" if done else "again")

    def found(self, reply: Any) -> list[bytes] | None:
        # Until a reply has come nobody knows what this reader holds, so it gives that back at the next look.
        self._done = True
        return [] if reply is None else [_body(reply)]

    def leave(self, pipeline: Any) -> None:
        pipeline.eval(*self._take("leave"))

    def _take(self, mode: str) -> tuple[Any, ...]:
        keys = (self.name, f"{self.name}.taken", f"{self.name}.leases")
        return _script("take_durable"), len(keys), *keys, self._reader, LEASE_MS, mode


def begin(pipeline: Any, queue: Queue) -> None:
    """Add to `pipeline` what makes the queue and binds it. Its last reply is for `look_for_abandoned`."""
    queue.make(pipeline)
    _bind(pipeline.sadd, queue)
    pipeline.smembers(BINDINGS[0])


def look_for_abandoned(pipeline: Any, members: Iterable[bytes | str]) -> list[str]:
    """Ask in `pipeline` which lists are still there. Returns the bindings that it asks about, in order."""
    found = [member.decode() if isinstance(member, bytes) else member for member in members]
    bound = [member for member in found if _queue(member).startswith(LISTENERS)]
    for member in bound:
        pipeline.exists(_queue(member))
    return bound


def remove_abandoned(pipeline: Any, bound: Sequence[str], exist: Sequence[int]) -> None:
    """Remove the bindings that readers left which were killed. Their lists have expired."""
    gone = [member for member, there in zip(bound, exist, strict=True) if not there]
    for key in BINDINGS if gone else ():
        pipeline.srem(key, *gone)


def _bind(add: Any, queue: Queue) -> None:
    """Bind the queue with `add`, the command SADD of a pipeline; with SREM, remove its bindings."""
    members = [_SEPARATOR.join((one, _regex(one), queue.name)) for one in queue.types]
    for key in BINDINGS:
        add(key, *members)


def _queue(member: str) -> str:
    return member.rpartition(_SEPARATOR)[2]


def _regex(pattern: str) -> str:
    """Return the pattern of types in the form in which kombu stores it with a binding."""
    words = (
        _WILDCARDS.get(word) or word.replace("_", r"\_").replace("-", r"\-") for word in pattern.split(".")
    )
    return "^" + r"\.".join(words) + "$"


def _body(row: bytes | str) -> bytes:
    """Return the body of a message in kombu's form. Anything else is returned as it is."""
    try:
        message = json.loads(row)
        body: str = message["body"]
        if message["properties"].get("body_encoding") == "base64":
            return base64.b64decode(body)
        return body.encode()
    except (ValueError, TypeError, KeyError, AttributeError):
        return row.encode() if isinstance(row, str) else row


_SCRIPTS = {path.stem: path.read_text() for path in Path(__file__).parent.glob("*.lua")}
_script = _SCRIPTS.__getitem__
