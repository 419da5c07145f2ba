"""A sign-up by phone with FastAPI. Events come as webhooks.

    pip install fastapi uvicorn 'callworker-client[redis]'
    uvicorn --factory --port 8801 fastapi_app:create_app

Its settings are environment variables: BROKER_URL, CALLWORKER_ACCOUNT, CALLWORKER_WEBHOOK_SECRET, PIN_KEY, DATABASE.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from callworker import BrokerUnavailable, Client, InvalidJob, InvalidSignature
from callworker.webhooks import verify
from sqlite_store import SqliteStore
from verification import COOL_DOWN_SECONDS, Refused, Unknown, Verifications


class Number(BaseModel):
    country: str
    phone: str


class Typed(BaseModel):
    pin: str


def create_app(client: Client | None = None) -> FastAPI:
    """Return the service. Tests give a client of their own."""
    app = FastAPI()
    verifications = Verifications(
        client or Client(),
        SqliteStore(os.environ.get("DATABASE", "sign-ups.db")),
        os.environ["CALLWORKER_ACCOUNT"],
        os.environ["PIN_KEY"].encode(),
    )

    # Functions without `async` run in a thread, so they may wait for the broker and the database.
    @app.post("/sign-ups", status_code=202)
    def start(number: Number) -> dict[str, str]:
        return {"id": verifications.start(number.country, number.phone)}

    @app.get("/sign-ups/{name}")
    def show(name: str) -> dict[str, str]:
        verification = verifications.get(name)
        return {"state": verification.state, "reason": verification.reason}

    @app.post("/sign-ups/{name}/check")
    def check(name: str, typed: Typed) -> dict[str, bool]:
        return {"verified": verifications.check(name, typed.pin)}

    @app.post("/sign-ups/{name}/call", status_code=202)
    def call_again(name: str) -> dict[str, str]:
        verifications.call_again(name)
        return {"id": name}

    @app.post("/callworker")
    async def webhook(request: Request) -> dict[str, str]:
        secrets = os.environ["CALLWORKER_WEBHOOK_SECRET"].split()
        event = verify(await request.body(), request.headers, secrets)
        await run_in_threadpool(verifications.told, event)
        return {}

    for kind, answer in ANSWERS.items():
        app.add_exception_handler(kind, answer)
    return app


def refused(_: Request, error: Any) -> JSONResponse:
    said = {"error": error.code, "text": str(error)}
    if error.retry_after is None:
        return JSONResponse(said, 409)
    return JSONResponse(said, 429, {"Retry-After": str(error.retry_after)})


def invalid(_: Request, error: Any) -> JSONResponse:
    return JSONResponse({"error": "INVALID", "fields": dict(error.fields or {})}, 422)


def unavailable(_: Request, __: Any) -> JSONResponse:
    # The job may have been sent or not, so the number may be called again only after the pause.
    return JSONResponse({"error": "UNAVAILABLE"}, 503, {"Retry-After": str(COOL_DOWN_SECONDS)})


def unsigned(_: Request, error: Any) -> JSONResponse:
    return JSONResponse({"error": "UNSIGNED", "text": str(error)}, 401)


def unknown(_: Request, __: Any) -> JSONResponse:
    return JSONResponse({"error": "UNKNOWN"}, 404)


ANSWERS: dict[type[Exception], Callable[[Request, Any], JSONResponse]] = {
    Refused: refused,
    InvalidJob: invalid,
    BrokerUnavailable: unavailable,
    InvalidSignature: unsigned,
    Unknown: unknown,
}
