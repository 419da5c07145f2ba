"""Turns a message of a broker into a submission, or says why it cannot be read. Never raises.

Source: Celery's message protocol, versions 2 and 1; kombu's message format on virtual transports.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kombu.message import Message

from worker.broker.amqp_frames import Received
from worker.broker.amqp_properties import read_properties
from worker.broker.queues import CANCEL_TASK_NAME, TASK_NAME
from worker.core.judging import (
    CANCEL,
    MAX_MESSAGE_BYTES,
    OVERLOADED,
    TOO_LARGE,
    Broken,
    Submission,
    decode,
    is_overloaded,
    plain,
    read_json,
    read_once,
)
from worker.core.records import Source
from worker.core.trace_context import NAMES
from worker.privacy.scrubbing import starred

JSON_TYPES = ("application/json", "json")
_SPELLED_JSON = re.compile(
    r"\s*(?:application/)?json\s*(?:;\s*charset\s*=\s*\"?(?:utf-?8|us-ascii)\"?\s*)?;?\s*", re.IGNORECASE
)
"""Also `application/json; charset=utf-8`, which the libraries of many languages write by themselves."""

HEADERS_READ = {name.encode(): name for name in ("task", "id", "compression", *NAMES)}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it came, readable or not. `unreadable` says why some of its headers could not be read."""

    headers: Mapping[str, Any]
    content_type: Any
    body: bytes
    unreadable: str = ""

    @classmethod
    def delivered(cls, received: Received) -> Envelope | Broken:
        """Open a message of an AMQP broker. Only the properties that are used here need be readable."""
        if received.digest:
            return TOO_LARGE
        properties = read_properties(received.properties, HEADERS_READ)
        return cls(properties.headers, properties.content_type, received.body, properties.unreadable)

    @classmethod
    def of(cls, message: Message) -> Envelope:
        """Open a message that kombu received over another transport."""
        body = message.body
        if isinstance(body, str):
            body = body.encode("utf-8", "backslashreplace")
        elif not isinstance(body, bytes):
            body = repr(body).encode()
        return cls(_mapping(message.headers), message.content_type, body)

    @classmethod
    def parse(cls, raw: bytes) -> Envelope | Broken:
        """Open a message from the bytes in which kombu keeps it in Redis."""
        if len(raw) > 2 * MAX_MESSAGE_BYTES:
            return Broken(f"larger than {2 * MAX_MESSAGE_BYTES} bytes")
        if is_overloaded(raw):
            return OVERLOADED
        try:
            document = read_json(raw)
            body = document["body"]
            if _mapping(document.get("properties")).get("body_encoding") == "base64":
                body = base64.b64decode(body, validate=True)
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError, binascii.Error):
            return Broken("not a kombu message")
        body = body.encode("utf-8", "backslashreplace") if isinstance(body, str) else body
        if not isinstance(body, bytes):
            return Broken("not a kombu message")
        return cls(_mapping(document.get("headers")), document.get("content-type"), body)


def read_task(envelope: Envelope) -> Submission | Broken:
    """Read a Celery message of task `calls.verify` or `calls.cancel`, protocol 2 or 1.

    One that cannot be read keeps the task's id.
    """
    found = _task(envelope)
    if isinstance(found, Submission):
        trace = _trace(envelope)
        return replace(found, trace=trace) if trace else found
    task_id = envelope.headers.get("id")
    return replace(found, job_id=task_id) if isinstance(task_id, str) else found


def _trace(envelope: Envelope) -> dict[str, Any]:
    """Return the headers that an instrumented producer adds to a message."""
    return {name: envelope.headers[name] for name in NAMES if name in envelope.headers}


def _task(envelope: Envelope) -> Submission | Broken:
    if envelope.unreadable and "task" not in envelope.headers:
        return Broken(f"its properties cannot be read: {envelope.unreadable}")
    if not _is_json(envelope.content_type):
        return _refused(envelope)
    if envelope.headers.get("compression"):
        return Broken("compressed messages are refused")
    document = _json(envelope.body)
    if isinstance(document, Broken):
        return document
    if "task" in envelope.headers:
        return _protocol_2(envelope.headers, document)
    return (
        _protocol_1(document) if isinstance(document, dict) else Broken("not a Celery message: no task named")
    )


def read_plain(envelope: Envelope) -> Submission | Broken:
    """Read a job or cancel as plain JSON from queue `calls.intake`. A job must contain its id; the content type may be
    missing."""
    if envelope.content_type and not _is_json(envelope.content_type):
        return _refused(envelope)
    fields = decode(envelope.body)
    if isinstance(fields, Broken):
        return fields
    return plain(fields, Source.QUEUE, trace=_trace(envelope))


def _is_json(content_type: Any) -> bool:
    if content_type in JSON_TYPES:
        return True
    return isinstance(content_type, str) and _SPELLED_JSON.fullmatch(content_type) is not None


def _refused(envelope: Envelope) -> Broken:
    return Broken(f"content type {_short(envelope.content_type)} is refused; only application/json is taken")


def _json(body: bytes) -> Any:
    if len(body) > MAX_MESSAGE_BYTES:
        return TOO_LARGE
    if is_overloaded(body):
        return OVERLOADED
    try:
        return read_once(body)
    except (ValueError, RecursionError):
        return Broken("not valid JSON")


def _protocol_2(headers: Mapping[str, Any], document: Any) -> Submission | Broken:
    if not isinstance(document, list) or len(document) < 2:
        return Broken("not a Celery message: the body is not [args, kwargs, embed]")
    return _submission(headers.get("task"), headers.get("id"), document[0], document[1])


def _protocol_1(document: dict[str, Any]) -> Submission | Broken:
    return _submission(document.get("task"), document.get("id"), document.get("args"), document.get("kwargs"))


def _submission(task: Any, task_id: Any, args: Any, kwargs: Any) -> Submission | Broken:
    if task not in (TASK_NAME, CANCEL_TASK_NAME):
        return Broken(f"unknown task {_short(task)}; only {TASK_NAME} and {CANCEL_TASK_NAME} are run here")
    if args or not isinstance(kwargs, dict):
        reason = f"{task} takes keyword arguments only"
        return Broken(reason, task_id if isinstance(task_id, str) else None)
    if task == CANCEL_TASK_NAME:
        fields = {CANCEL if name == "id" else name: value for name, value in kwargs.items()}
        return Submission(fields, Source.CELERY, cancels=True)
    return Submission(kwargs, Source.CELERY, task_id if isinstance(task_id, str) else None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _short(value: Any) -> str:
    return starred(repr(value)[:80])
