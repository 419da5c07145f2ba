"""The proxy through which webhooks go, if the operator names one."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit


@dataclass(slots=True)
class Proxy:
    """Its address, the value of `Proxy-Authorization`, and the moment of its last answer on the monotonic clock."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    answered: float = 0.0

    @classmethod
    def of(cls, url: str) -> Self:
        """Read an address that `worker.configuration.addresses.proxy_url` has checked."""
        parts = urlsplit(url)
        name = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
        basic = f"Basic {base64.b64encode(name).decode()}" if "@" in parts.netloc else None
        return cls(parts.hostname or "", parts.port or 0, basic)
