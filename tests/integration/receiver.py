"""A webhook subscriber that trusts nothing: it checks signatures as Standard Webhooks specifies, not with our code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from tests.processes import BACKLOG


@dataclass(frozen=True)
class Hook:
    """One POST as it came, with header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    unix: float

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    def signed_with(self, secret: str) -> bool:
        """Return whether one of the signatures is that of `secret`, a `whsec_…`."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{self.event_id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        return expected in self.headers["webhook-signature"].split(" ")


class Receiver:
    """Collects hooks and answers each with the status that `answer` gives. A context manager."""

    def __init__(self, answer: Callable[[Hook], int] = lambda hook: 200, host: str = "127.0.0.1") -> None:
        self.answer, self.host = answer, host
        self.hooks: list[Hook] = []
        self._server = _Server((host, 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def at(self, path: str) -> list[Hook]:
        """Return the hooks that came to one path, oldest first."""
        return [hook for hook in list(self.hooks) if hook.path == path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = BACKLOG


def local_hook(url: str, **fields: Any) -> dict[str, Any]:
    """Return the webhook table of a receiver on this machine, with all exceptions that the guard needs for it."""
    parts = urlsplit(url)
    exceptions = {"allow_insecure": True, "allow_ports": [parts.port], "allow_networks": [parts.hostname]}
    return {"url": url, **exceptions, **fields}


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                # The sender died while writing; no server treats that as a request.
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            hook = Hook(self.path, headers, body, time.time())
            receiver.hooks.append(hook)
            self.send_response(receiver.answer(hook))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    return Handler
