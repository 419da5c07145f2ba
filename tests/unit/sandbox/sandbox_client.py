"""A plain HTTP client for the sandbox, and a sleep that takes no time."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from worker.sandbox import Sandbox

KEY = "0123456789ABCDEF0123456789ABCDEF"


@dataclass
class RecordedSleep:
    """Remembers each pause asked for, in seconds, and makes none."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, pause_seconds: float) -> None:
        self.seconds.append(pause_seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    @property
    def error_code(self) -> str:
        return str(self.content["failed"]["error_code"])


class Client:
    """One keep-alive connection to a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=20)

    def send(self, method: str, target: str, body: bytes | None = None) -> Answer:
        self.connection.request(method, target, body)
        response = self.connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def get(self, call: str, **form: str) -> Answer:
        return self.send("GET", f"/{call}?{urlencode(form)}")

    def call(self, phone: str, code: str = "12345", fmt: str = "json", **others: str) -> Answer:
        """Places a call; every field but the number has a good value unless one is given."""
        form = {"key": KEY, "country": "1", "phone": phone, "code": code} | others
        return self.get(f"telephonecall.{fmt}", **form)

    def close(self) -> None:
        self.connection.close()


def open_call(sandbox: Sandbox, phone: str) -> socket.socket:
    """A connection on which a call has been asked for and no answer has been read."""
    connection = socket.create_connection(("127.0.0.1", sandbox.port), timeout=20)
    form = urlencode({"key": KEY, "country": "1", "phone": phone, "code": "12345"})
    connection.sendall(f"GET /telephonecall.xml?{form} HTTP/1.1\r\n\r\n".encode())
    return connection
