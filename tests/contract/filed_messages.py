"""Messages in kombu's lists, and where kombu files those that were taken."""

from __future__ import annotations

import json
import uuid
from typing import Any, cast

import redis

UNACKED, INDEX = "calls.unacked", "calls.unacked_index"


JOB = {"id": "a", "account": "acme", "country": "1", "phone": "2125555555", "code": "4321"}


def message(
    exchange: Any = "calls", routing_key: Any = "calls", tag: str | None = None, **more: Any
) -> bytes:
    """A message as kombu writes it, with values that Lua's JSON would write differently."""
    info = {"exchange": exchange, "routing_key": routing_key}
    properties = {"delivery_tag": tag or uuid.uuid4().hex, "delivery_info": info, "body_encoding": "base64"}
    headers = {"task": "calls.verify", "id": "a", "empty": [], "large": 2**60 + 1, "path": "a/b", "ü": "\\"}
    return json.dumps({"body": "e30=", "headers": headers, "properties": properties} | more).encode()


def queued(client: redis.Redis, name: str = "calls") -> list[bytes]:
    return cast(list[bytes], client.lrange(name, 0, -1))


def is_filed(client: redis.Redis) -> tuple[int, int]:
    return client.hlen(UNACKED), client.zcard(INDEX)


LARGE = 8 * 2**20


def age(client: redis.Redis, seconds: float) -> None:
    """Let what is filed have been filed so much earlier."""
    for tag, score in cast(Any, client.zrange(INDEX, 0, -1, withscores=True)):
        client.zadd(INDEX, {tag: score - seconds})
