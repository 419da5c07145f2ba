"""A complete receiver of callworker's webhooks: verifies each signature, drops repeats, prints each event.

    WEBHOOK_SECRET=whsec_… python examples/receiver.py 8808

It needs Python 3.11 and nothing else. It listens on 127.0.0.1 and remembers ids until it ends. In a program of yours,
store the event and its id in one transaction of your database, and answer 204 after that.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

MAX_BODY_BYTES = 64 * 1024
TOLERANCE_SECONDS = 300


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether `secret` (`whsec_…`) signed this body, id and time, no more than five minutes from now.

    Source: https://www.standardwebhooks.com, version 1.0.0. `headers` must ignore the case of names, as
    those of `http.server` do.
    """
    event_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent.isdecimal() or abs(time.time() - int(sent)) > TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.digest(key, f"{event_id}.{sent}.".encode() + body, hashlib.sha256)
    expected = b"v1," + base64.b64encode(mac)
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(one, expected) for one in given)


class Handler(BaseHTTPRequestHandler):
    """Answers 204 to a genuine event, repeats included, 401 to anything else, 413 to what is too large."""

    secret = ""
    seen: ClassVar[set[str]] = set()
    lock = threading.Lock()
    timeout = 10

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if length > MAX_BODY_BYTES:
            self._answer(413)
            return
        body = self.rfile.read(length)
        if not is_genuine(self.secret, self.headers, body):
            print("refused: the signature is wrong or missing", flush=True)
            self._answer(401)
            return
        self._take(json.loads(body))
        self._answer(204)

    def _take(self, event: dict) -> None:
        """Act on an event the first time it comes. An event may come more than once, always with the same id."""
        with self.lock:
            if event["id"] in self.seen:
                return
            self.seen.add(event["id"])
        print(json.dumps(event, indent=2), flush=True)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Print no line for each request: events are printed instead."""


def main() -> None:
    Handler.secret = os.environ["WEBHOOK_SECRET"]
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8808
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
