"""A complete receiver of callworker's webhooks for Starlette and FastAPI, with the library of Standard Webhooks.

    pip install starlette uvicorn standardwebhooks
    WEBHOOK_SECRET=whsec_… uvicorn --port 8808 asgi:app

It verifies each request, stores each event once in the file `events.db`, or EVENTS_DB, answers, and works on the event
after that. For FastAPI, write `app = FastAPI()` and `app.add_route("/calls", receive, methods=["POST"])`. While a
secret is rotated, WEBHOOK_SECRET may hold both, separated by a space.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import traceback
from contextlib import closing

from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MAX_BODY_BYTES = 64 * 1024
SECRETS = [Webhook(secret) for secret in os.environ["WEBHOOK_SECRET"].split()]
ONE_AT_A_TIME = threading.Lock()
DATABASE = os.environ.get("EVENTS_DB", "events.db")
TABLE = "CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, sequence INTEGER, body BLOB, done INTEGER DEFAULT 0)"


def work(event: dict) -> None:
    """Do what your program does with an event. After a crash this may be called again for the same event."""
    print(json.dumps(event, indent=2), flush=True)


async def receive(request: Request) -> Response:
    """Answer 204 to a genuine event, repeats included, 401 to anything else, 413 to what is too large."""
    body = await limited_body(request)
    if body is None:
        return Response(status_code=413)
    if not any(is_genuine(secret, request, body) for secret in SECRETS):
        print("refused: the signature is wrong, old or missing", flush=True)
        return Response(status_code=401)
    number = request.headers.get("callworker-sequence", "")
    sequence = int(number) if number.isascii() and number.isdecimal() and len(number) < 16 else None
    await run_in_threadpool(store, request.headers["webhook-id"], sequence, body)
    return Response(status_code=204, background=BackgroundTask(work_off))


async def limited_body(request: Request) -> bytes | None:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return body


def is_genuine(secret: Webhook, request: Request, body: bytes) -> bool:
    try:
        secret.verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: what cannot be decoded
        return False
    return True


def store(event_id: str, sequence: int | None, body: bytes) -> None:
    """Store an event, unless it is there already. On disk when this returns."""
    with closing(sqlite3.connect(DATABASE)) as db, db:
        db.execute(TABLE)
        (highest,) = db.execute("SELECT max(sequence) FROM events").fetchone()
        row = (event_id, sequence, body)
        new = db.execute("INSERT OR IGNORE INTO events (id, sequence, body) VALUES (?, ?, ?)", row).rowcount
    # Deliveries overtake each other, so a number that is missing now may still come.
    if new and sequence is not None and highest is not None and sequence > highest + 1:
        print(f"missing so far: {highest + 1} to {sequence - 1}", flush=True)


def work_off() -> None:
    """Work on the events that are not done. One that fails, or that a crash leaves, is tried with the next event."""
    with ONE_AT_A_TIME, closing(sqlite3.connect(DATABASE)) as db:
        undone = db.execute("SELECT id, body FROM events WHERE NOT done ORDER BY rowid").fetchall()
        for event_id, body in undone:
            try:
                work(json.loads(body))
            except Exception:
                traceback.print_exc()
                continue
            with db:
                db.execute("UPDATE events SET done = 1 WHERE id = ?", (event_id,))


app = Starlette(routes=[Route("/calls", receive, methods=["POST"])])
