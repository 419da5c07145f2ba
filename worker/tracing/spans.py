"""Names and forms that spans share.

Source: OpenTelemetry's semantic conventions for messaging and for HTTP clients.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from opentelemetry.trace import Span, Status, StatusCode

from worker.privacy.redaction import redactor

JOB_ID, ACCOUNT = "callworker.job.id", "callworker.account"

Attributes = dict[str, str | int]


def of_job(account: str, job_id: str) -> Attributes:
    """Return the attributes that each span has."""
    return {ACCOUNT: account, JOB_ID: job_id}


def of_message(system: str, operation: str, destination: str, message_id: str) -> Attributes:
    """Return what a span says of the message that it sends or processes. `system` names the kind of broker."""
    return {
        "messaging.system": system,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
        "messaging.message.id": message_id,
    }


def of_request(url: str) -> Attributes:
    """Return what a span says of a POST to `url`. A query is left out, because it may hold a token."""
    address = urlsplit(url)._replace(query="", fragment="")
    return {
        "http.request.method": "POST",
        "url.full": address.geturl(),
        "server.address": address.hostname or "",
        "server.port": address.port or (443 if address.scheme == "https" else 80),
    }


def fail(span: Span, kind: str, message: str) -> None:
    """Mark a span as failed. Secrets and numbers in the message are redacted, as in log lines."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, f"{kind}: {redactor.text(message)}"))
