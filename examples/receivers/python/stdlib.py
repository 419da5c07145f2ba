"""A complete receiver of callworker's webhooks. It needs Python 3.11 and nothing else.

    WEBHOOK_SECRET=whsec_… python stdlib.py 8808

It verifies each request, stores each event once in the file `events.db`, answers, and works on the event after that.
While a secret is rotated, WEBHOOK_SECRET may hold both, separated by a space.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import queue
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MAX_BODY_BYTES = 64 * 1024
TOLERANCE_SECONDS = 300
TABLE = """
CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, sequence INTEGER, body BLOB, done INTEGER DEFAULT 0);
CREATE INDEX IF NOT EXISTS sequences ON events (sequence);
"""


def work(event: dict) -> None:
    """Do what your program does with an event. After a crash this may be called again for the same event."""
    print(json.dumps(event, indent=2), flush=True)


def is_genuine(secrets: Iterable[str], headers: Mapping[str, str], body: bytes) -> bool:
    """Whether one of `secrets` (`whsec_…`) signed this body, id and time, no more than five minutes from now.

    Source: https://www.standardwebhooks.com, version 1.0.0. `headers` must ignore the case of names, as those of
    `http.server` do.
    """
    event_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (event_id and whole_number(sent)) or abs(time.time() - int(sent)) > TOLERANCE_SECONDS:
        return False
    content = f"{event_id}.{sent}.".encode() + body
    expected = [signature(secret, content) for secret in secrets]
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(one, other) for one in given for other in expected)


def signature(secret: str, content: bytes) -> bytes:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return b"v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256))


def whole_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


class Events:
    """The events in a SQLite file. The unique `id` drops repeats; an event is done once the work on it has ended."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.executescript(TABLE)
        self._undone: queue.Queue[str] = queue.Queue()
        for (event_id,) in self._db.execute("SELECT id FROM events WHERE NOT done ORDER BY rowid"):
            self._undone.put(event_id)

    def store(self, event_id: str, sequence: int | None, body: bytes) -> None:
        """Store an event, unless it is there already. On disk when this returns."""
        with self._lock, self._db:
            (highest,) = self._db.execute("SELECT max(sequence) FROM events").fetchone()
            row = (event_id, sequence, body)
            new = self._db.execute("INSERT OR IGNORE INTO events (id, sequence, body) VALUES (?, ?, ?)", row)
        if new.rowcount:
            self._undone.put(event_id)
            tell_missing(highest, sequence)

    def work_off(self) -> None:
        """Work on one event after the other, without end. One that fails is tried again after the next start."""
        while True:
            event_id = self._undone.get()
            with self._lock:
                (body,) = self._db.execute("SELECT body FROM events WHERE id = ?", (event_id,)).fetchone()
            try:
                work(json.loads(body))
            except Exception:
                traceback.print_exc()
                continue
            with self._lock, self._db:
                self._db.execute("UPDATE events SET done = 1 WHERE id = ?", (event_id,))


def tell_missing(highest: int | None, sequence: int | None) -> None:
    """Deliveries overtake each other, so a number that is missing now may still come."""
    if highest is not None and sequence is not None and sequence > highest + 1:
        print(f"missing so far: {highest + 1} to {sequence - 1}", flush=True)


class Handler(BaseHTTPRequestHandler):
    """Answers 204 to a genuine event, repeats included, 401 to anything else, 413 to what is too large."""

    secrets: list[str]
    events: Events
    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not whole_number(length):
            self._answer(411)
        elif int(length) > MAX_BODY_BYTES:
            self._answer(413)
        else:
            self._receive(self.rfile.read(int(length)))

    def _receive(self, body: bytes) -> None:
        if not is_genuine(self.secrets, self.headers, body):
            print("refused: the signature is wrong, old or missing", flush=True)
            self._answer(401)
            return
        number = self.headers.get("callworker-sequence", "")
        sequence = int(number) if whole_number(number) else None
        self.events.store(self.headers["webhook-id"], sequence, body)
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Print no line for each request: events are printed instead."""


class Server(ThreadingHTTPServer):
    """Lets as many connections wait as a burst of events may bring; the library's own number is five."""

    request_queue_size = 1024


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8808
    path = sys.argv[2] if len(sys.argv) > 2 else str(Path(__file__).with_name("events.db"))
    Handler.secrets, Handler.events = os.environ["WEBHOOK_SECRET"].split(), Events(path)
    threading.Thread(target=Handler.events.work_off, daemon=True).start()
    with Server(("127.0.0.1", port), Handler) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
