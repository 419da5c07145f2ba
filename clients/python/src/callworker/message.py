"""The messages that workers read: Celery messages of protocol 2, for tasks `calls.verify` and `calls.cancel`.

Each job goes to the queue of its account's shard, `calls.0` to `calls.15`. Workers take from these queues in turn, so
that many jobs of one account do not delay all others. Source: Celery documentation, "Message Protocol", version 2.
"""

from __future__ import annotations

import json
import re
import uuid
from binascii import crc32
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VERIFY, CANCEL = "calls.verify", "calls.cancel"
"""The names of the tasks."""
CALLS = "calls"
"""The queue of all accounts, and the beginning of the names of the shards' queues."""
SHARDS = 16

_HEADERS: Mapping[str, Any] = {
    "lang": "py",
    "parent_id": None,
    "group": None,
    # What logs and monitors show in place of the arguments, which hold a phone number and a PIN.
    "argsrepr": "(hidden)",
    "kwargsrepr": "(hidden)",
    "ignore_result": True,
    "origin": "callworker-client",
}
_TRACE_CONTEXT = {
    "traceparent": re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]{0,200})?"),
    "tracestate": re.compile(r"[ -~]{1,512}"),
}
"""What could be a trace context; the workers look closer. Source: W3C Trace Context."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message on its way to a queue. `task_id` is also the correlation id. `body` is JSON in UTF-8."""

    queue: str
    task_id: str
    headers: Mapping[str, Any]
    body: bytes


def queue_of(account: str) -> str:
    """Return the queue of the account's shard."""
    return f"{CALLS}.{crc32(account.encode()) % SHARDS}"


def verify_message(fields: Mapping[str, str]) -> Message:
    """Return the message of a job from its fields, as `job.checked` returns them.

    A trace context goes into the headers, where workers of every version take or ignore it.
    """
    headers = {}
    if _TRACE_CONTEXT.keys() & fields.keys():
        headers = {
            name: fields[name]
            for name, form in _TRACE_CONTEXT.items()
            if name in fields and form.fullmatch(fields[name])
        }
        fields = {name: value for name, value in fields.items() if name not in _TRACE_CONTEXT}
    return _task(VERIFY, fields["id"], queue_of(fields["account"]), fields, headers)


def cancel_message(fields: Mapping[str, str]) -> Message:
    """Return the message that takes back a job, from its `id` and perhaps `account`.

    With the account the message goes to the queue of the job itself, behind it.
    """
    queue = queue_of(fields["account"]) if "account" in fields else CALLS
    return _task(CANCEL, f"cancel_{uuid.uuid4().hex}", queue, fields)


def _task(
    task: str, task_id: str, queue: str, kwargs: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> Message:
    body = json.dumps([[], kwargs, {}], ensure_ascii=False, separators=(",", ":")).encode()
    made = {**_HEADERS, "task": task, "id": task_id, "root_id": task_id, **(headers or {})}
    return Message(queue, task_id, made, body)
