"""A message on its way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PERSISTENT = 2


@dataclass(frozen=True, slots=True)
class Message:
    """One JSON message: `body` goes out byte for byte. Exchange "" sends straight to the queue `routing_key`."""

    body: bytes
    routing_key: str
    exchange: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
