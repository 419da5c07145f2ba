"""A sign-up by phone with Flask. Events come as webhooks.

    pip install flask 'callworker-client[redis]'
    flask --app flask_app run --port 8801

Its settings are environment variables: BROKER_URL, CALLWORKER_ACCOUNT, CALLWORKER_WEBHOOK_SECRET, PIN_KEY, DATABASE.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, request

from callworker import BrokerUnavailable, Client, InvalidJob, InvalidSignature
from callworker.webhooks import verify
from sqlite_store import SqliteStore
from verification import COOL_DOWN_SECONDS, Refused, Unknown, Verifications

Answer = tuple[dict[str, Any], int] | tuple[dict[str, Any], int, dict[str, str]]


def given(name: str) -> str:
    """Return a member of the request's JSON object, empty if it is not there."""
    fields = request.get_json()
    return str(fields.get(name, "")) if isinstance(fields, dict) else ""


def create_app(client: Client | None = None) -> Flask:
    """Return the service. Tests give a client of their own."""
    app = Flask(__name__)
    verifications = Verifications(
        client or Client(),
        SqliteStore(os.environ.get("DATABASE", "sign-ups.db")),
        os.environ["CALLWORKER_ACCOUNT"],
        os.environ["PIN_KEY"].encode(),
    )

    @app.post("/sign-ups")
    def start() -> Answer:
        return {"id": verifications.start(given("country"), given("phone"))}, 202

    @app.get("/sign-ups/<name>")
    def show(name: str) -> Answer:
        verification = verifications.get(name)
        return {"state": verification.state, "reason": verification.reason}, 200

    @app.post("/sign-ups/<name>/check")
    def check(name: str) -> Answer:
        return {"verified": verifications.check(name, given("pin"))}, 200

    @app.post("/sign-ups/<name>/call")
    def call_again(name: str) -> Answer:
        verifications.call_again(name)
        return {"id": name}, 202

    @app.post("/callworker")
    def webhook() -> Answer:
        secrets = os.environ["CALLWORKER_WEBHOOK_SECRET"].split()
        verifications.told(verify(request.get_data(), request.headers, secrets))
        return {}, 200

    @app.errorhandler(Refused)
    def refused(error: Refused) -> Answer:
        said = {"error": error.code, "text": str(error)}
        if error.retry_after is None:
            return said, 409
        return said, 429, {"Retry-After": str(error.retry_after)}

    @app.errorhandler(InvalidJob)
    def invalid(error: InvalidJob) -> Answer:
        return {"error": "INVALID", "fields": dict(error.fields or {})}, 422

    @app.errorhandler(BrokerUnavailable)
    def unavailable(_: BrokerUnavailable) -> Answer:
        # The job may have been sent or not, so the number may be called again only after the pause.
        return {"error": "UNAVAILABLE"}, 503, {"Retry-After": str(COOL_DOWN_SECONDS)}

    @app.errorhandler(InvalidSignature)
    def unsigned(error: InvalidSignature) -> Answer:
        return {"error": "UNSIGNED", "text": str(error)}, 401

    @app.errorhandler(Unknown)
    def unknown(_: Unknown) -> Answer:
        return {"error": "UNKNOWN"}, 404

    return app
