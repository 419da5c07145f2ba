"""A message on its way out to a broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PERSISTENT = 2
"""The delivery mode of a message that survives a restart of the broker."""


@dataclass(frozen=True, slots=True)
class Message:
    """A JSON message; `body` is sent byte for byte. Exchange "" sends it directly to the queue `routing_key`."""

    body: bytes
    routing_key: str
    exchange: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
