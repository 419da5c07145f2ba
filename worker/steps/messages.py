"""Reads a broker message into a request, or says why it cannot be read. Never raises."""

from __future__ import annotations

import json
from typing import Any

from kombu.message import Message

from worker.intake import MESSAGE_BYTES_MOST, Broken, Request, decode
from worker.ports import Source
from worker.queues import TASK_NAME

JSON_TYPES = ("application/json", "json")
REDELIVERIES_MOST = 3


def read_task(message: Message) -> Request | Broken:
    """A Celery message of task `calls.verify`, protocol 2 or 1."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    document = _json(message)
    if isinstance(document, Broken):
        return document
    if "task" in headers:
        return _protocol_2(headers, document)
    return _protocol_1(document) if isinstance(document, dict) else Broken("not a Celery message: no task named")


def read_plain(message: Message) -> Request | Broken:
    """A job as plain JSON from queue `calls.intake`; its id must be in it."""
    if message.content_type and message.content_type not in JSON_TYPES:
        return Broken(f"content type {_short(message.content_type)} is refused; only application/json is taken")
    fields = decode(raw_body(message))
    return fields if isinstance(fields, Broken) else Request(fields, Source.QUEUE)


def raw_body(message: Message) -> bytes:
    """The message's body as it came."""
    body = message.body
    if isinstance(body, str):
        return body.encode("utf-8", "backslashreplace")
    return bytes(body) if isinstance(body, bytes | bytearray | memoryview) else repr(body).encode()


def _json(message: Message) -> Any:
    if message.content_type not in JSON_TYPES:
        return Broken(f"content type {_short(message.content_type)} is refused; only application/json is taken")
    body = raw_body(message)
    if len(body) > MESSAGE_BYTES_MOST:
        return Broken(f"larger than {MESSAGE_BYTES_MOST} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return Broken("not valid JSON")


def _protocol_2(headers: dict[str, Any], document: Any) -> Request | Broken:
    if not isinstance(document, list) or len(document) < 2:
        return Broken("not a Celery message: the body is not [args, kwargs, embed]")
    return _request(headers.get("task"), headers.get("id"), document[0], document[1])


def _protocol_1(document: dict[str, Any]) -> Request | Broken:
    return _request(document.get("task"), document.get("id"), document.get("args"), document.get("kwargs"))


def _request(task: Any, task_id: Any, args: Any, kwargs: Any) -> Request | Broken:
    if task != TASK_NAME:
        return Broken(f"unknown task {_short(task)}; only {TASK_NAME} is run here")
    if args or not isinstance(kwargs, dict):
        return Broken(f"{TASK_NAME} takes the job's fields as keyword arguments only")
    return Request(kwargs, Source.CELERY, task_id if isinstance(task_id, str) else None)


def _short(value: Any) -> str:
    return repr(value)[:80]
