"""A stand-in for the provider: a small HTTP server with a clock of its own that answers as a test says."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.processes import BACKLOG


@dataclass(frozen=True)
class Asked:
    """One request: when its head had been read (Unix seconds), its parts, and its position (from 1) for its number."""

    unix: float
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    form: Mapping[str, str]
    turn: int

    @property
    def phone(self) -> str:
        return self.form.get("phone", "")


@dataclass(frozen=True)
class Reply:
    """An answer, to be sent after `wait_seconds`."""

    body: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_seconds: float = 0.0


def gives_ref(wait_seconds: float = 0.0) -> Reply:
    """Return an answer with a ref in XML, the format that workers ask for by default."""
    ref = uuid.uuid4().hex.upper()
    return Reply(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<response><ref>{ref}</ref></response>',
        wait_seconds=wait_seconds,
    )


def refuses(code: str, text: str = "Not today.") -> Reply:
    return Reply(f"<failed><error_code>{code}</error_code><error_msg>{text}</error_msg></failed>")


Script = Callable[[Asked], Reply]


class StandIn:
    """A provider that answers as `script` says; a test may replace it at any time. A context manager."""

    def __init__(self, script: Script = lambda asked: gives_ref()) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.in_flight, self.most_in_flight = Counter[str](), Counter[str]()
        self._turns = Counter[str]()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def requests(self, phone: str) -> list[Asked]:
        """Return the requests for one number, oldest first."""
        return [asked for asked in list(self.asked) if asked.phone == phone]

    def rung(self, *phones: str) -> list[int]:
        """Return how many requests came for each number."""
        return [len(self.requests(phone)) for phone in phones]

    def exchange(self, method: str, target: str, headers: Mapping[str, str], body: str, unix: float) -> Reply:
        """Note a request and return the reply. The server's threads call it, one for each connection."""
        form, parts = dict(parse_qsl(body, keep_blank_values=True)), urlsplit(target)
        key = form.get("key", "")
        with self._lock:
            self._turns[form.get("phone", "")] += 1
            turn = self._turns[form.get("phone", "")]
            asked = Asked(unix, method, parts.path, parts.query, headers, form, turn)
            self.asked.append(asked)
            self.in_flight[key] += 1
            self.most_in_flight[key] = max(self.most_in_flight[key], self.in_flight[key])
        try:
            reply = self.script(asked)
            time.sleep(reply.wait_seconds)
            return reply
        finally:
            with self._lock:
                self.in_flight[key] -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = BACKLOG

    def handle_error(self, *_: Any, **__: Any) -> None:
        """Ignore errors: workers that are killed leave connections behind."""


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            unix = time.time()
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            reply = stand_in.exchange(self.command, self.path, dict(self.headers), body, unix)
            content = reply.body.encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 (the library's name)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    return Handler
