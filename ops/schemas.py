"""Writes the JSON Schemas of a job and of events from the program's models: `python -m ops.schemas FOLDER`.

Source: JSON Schema 2020-12. The descriptions say what the schemas cannot express. `tests/ops/test_ops_schemas.py`
compares the schemas with the program.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.core.cancels import NOT_FOUND
from worker.core.events import CANCELED, OUTCOME_UNKNOWN, Status, event_type
from worker.core.jobs import ACCOUNT_PATTERN, ID_PATTERN, MASKED_DIGITS, MAX_NOTE, Job
from worker.core.judging import CANCEL
from worker.core.notices import CONFLICT, NOT_CANCELED
from worker.provider.codes import CODE
from worker.provider.publishing import MAX_MESSAGE_CHARACTERS

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
INTEGERS = {"country": (1, 999), "phone": (10**4, 10**15 - 1), "code": (100, 99999), "ext": (0, 10**20 - 1)}
"""The fields that may be integers, each with the least and the greatest."""
OLDER_PAGE_ONLY = "exttype"
JOB = (
    "One call to place, as a producer sends it. A field that is null counts as absent. The worker also checks what a "
    "schema cannot say: that no field occurs more than once, that a number is written without a fraction (not 4711.0), "
    "that the accounts file allows account and country, and that a message has at most 64 KiB. One id is one call, "
    "however often it is sent. With PROXSTOP_EXTENDED=on the worker takes fields and values of the provider's older "
    "page that this schema refuses."
)
FIELDS = {
    "id": "The idempotency key. A Celery task may leave it out; then the task's id holds.",
    "account": "A name in the accounts file.",
    "country": "Country calling code, without a leading zero.",
    "phone": "Number with area code, digits only.",
    "code": "The PIN that is spoken, from 100 to 99999.",
    "ext": "Extension to dial.",
    "message": "Language spoken.",
    "ref": "A note of the producer, which the event has as `note`. What a schema cannot say: a lone surrogate, which "
    "UTF-8 cannot carry, is refused.",
    "expires_at": "RFC 3339 time with an offset; absent: the account's ttl after acceptance. A time before 2000 counts "
    "as 2000, one after 2200 as 2200. What a schema cannot say: the time must exist in the calendar, in UTC too.",
    "traceparent": "The trace that the job belongs to, as W3C Trace Context spells it. Any other string is ignored.",
    "tracestate": "What systems of tracing add to `traceparent`, at most 512 characters; a longer one is ignored.",
}
EVENT = "What became of a job, in one of five ways. Later versions may add fields: ignore those that you do not know."
JOB_EVENT = (
    "News for a producer that ends no job, on the results queue and its exchange only. Later versions may add fields "
    "and types of events: ignore those that you do not know."
)
CANCEL_MESSAGE = (
    "Takes back a job that waits, as a producer sends it in place of a job. A field that is null counts as absent. If "
    "it comes before the job, it counts for an hour."
)
ENDPOINT_EVENT = (
    "News of an account's webhook, for its operators, on the results queue and its exchange only. Later versions may "
    "add fields and types of events: ignore those that you do not know."
)
DISABLED = {
    "gone": "it answered 410",
    "asked": "it answered with the header `webhook-delivery: disable`",
    "failing": "it has failed for five days",
    "operator": "somebody ran `callworker webhooks disable`",
}
FAILURES = (50, 70, 90)
"""The numbers of failures in a row at which `endpoint.failing` comes."""
ENDINGS = {
    Status.PLACED: "The provider gave a ref.",
    Status.FAILED: "The provider refused the job, or retries ran out and the phone has certainly not rung.",
    Status.UNKNOWN: "The phone may have rung, and no ref is known.",
    Status.EXPIRED: "`expires_at` passed before the phone could be rung, or the job was canceled.",
    Status.REJECTED: "The job is invalid or not allowed; the provider was not asked.",
}
CODES: Mapping[Status, Schema] = {
    Status.FAILED: {"type": "string", "pattern": f"^{CODE.pattern}$"},
    Status.UNKNOWN: {"const": OUTCOME_UNKNOWN},
    Status.EXPIRED: {"enum": ["EXPIRED", CANCELED]},
    Status.REJECTED: {"enum": ["INVALID_JOB", "UNKNOWN_ACCOUNT", "DESTINATION_BLOCKED"]},
}
MOMENT = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
    "description": "RFC 3339, in UTC, with milliseconds.",
}
NULL = {"type": "null"}
ID = {"type": "string", "pattern": f"^{ID_PATTERN.pattern}$"}
ACCOUNT = {"type": "string", "pattern": f"^{ACCOUNT_PATTERN.pattern}$"}


def job_schema() -> Schema:
    """The schema of a plain JSON job; `$defs/fields` has that of a job whose id may come from a Celery task."""
    own_id = {"required": ["id"], "properties": {"id": {"type": "string"}}}
    return {
        "$schema": DIALECT,
        "title": "Job",
        "description": JOB,
        "allOf": [{"$ref": "#/$defs/fields"}, own_id],
        "$defs": {"fields": _fields()},
    }


def _fields() -> Schema:
    model = Job.model_json_schema()
    required = [name for name in model["required"] if name != "id"]
    properties = {
        name: _field(name, schema, nullable=name not in required)
        for name, schema in model["properties"].items()
        if name != OLDER_PAGE_ONLY
    }
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        # An unknown field that is null also counts as absent.
        "additionalProperties": NULL,
    }


def _field(name: str, schema: Schema, *, nullable: bool) -> Schema:
    forms = [form for form in schema.get("anyOf", [schema]) if form != NULL]
    forms = [{key: form[key] for key in form if key not in ("title", "default")} for form in forms]
    if name in INTEGERS:
        least, most = INTEGERS[name]
        forms.append({"type": "integer", "minimum": least, "maximum": most})
    if nullable:
        forms.append(NULL)
    default = {} if schema.get("default") is None else {"default": schema["default"]}
    return {"description": FIELDS[name]} | default | (forms[0] if len(forms) == 1 else {"anyOf": forms})


def event_schema() -> Schema:
    """The schema of any event; `$defs` has one schema for each type."""
    types = {event_type(status): _event(status) for status in Status}
    return {
        "$schema": DIALECT,
        "title": "Event",
        "description": EVENT,
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in types],
        "$defs": types,
    }


def _event(status: Status) -> Schema:
    return _envelope(event_type(status), ENDINGS[status], _data(status))


def _envelope(kind: str, description: str, data: Schema) -> Schema:
    properties = {
        "id": {
            "type": "string",
            "pattern": "^evt_[0-9a-f]{32}$",
            "description": "The same wherever and however often the event is delivered: drop what you have seen.",
        },
        "type": {"const": kind},
        "timestamp": MOMENT,
        "data": _whole(data),
    }
    return {"description": description} | _whole(properties)


def endpoint_event_schema() -> Schema:
    """The schema of an event that tells of an endpoint; `$defs` has one schema for each type."""
    types = {"endpoint.failing": _failing(), "endpoint.disabled": _disabled()}
    return {
        "$schema": DIALECT,
        "title": "Endpoint event",
        "description": ENDPOINT_EVENT,
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in types],
        "$defs": types,
    }


def _failing() -> Schema:
    failures = {"enum": list(FAILURES), "description": "Failures in a row."}
    told = "Only failures since the last success, and now there are this many. It comes once for each number."
    return _envelope("endpoint.failing", told, _endpoint() | {"failures": failures})


def _disabled() -> Schema:
    reasons = "; ".join(f"{reason}: {why}" for reason, why in DISABLED.items())
    data = {
        "reason": {"enum": list(DISABLED), "description": f"{reasons}."},
        "failures": {"type": "integer", "minimum": 0, "description": "Failures in a row."},
    }
    told = "Nothing is sent to it any more. What waits is kept for 7 days, and `callworker webhooks enable` sends it."
    return _envelope("endpoint.disabled", told, _endpoint() | data)


def cancel_schema() -> Schema:
    """The schema of a plain JSON cancel."""
    account = {"description": "If it is given, only a job of this account is taken back.", **ACCOUNT}
    return {
        "$schema": DIALECT,
        "title": "Cancel",
        "description": CANCEL_MESSAGE,
        "type": "object",
        "required": [CANCEL],
        "properties": {
            CANCEL: {"description": "The job's id.", **ID},
            "account": {"anyOf": [account, NULL]},
        },
        "additionalProperties": NULL,
    }


def job_event_schema() -> Schema:
    """The schema of an event that tells of a job and does not end it; `$defs` has one schema for each type."""
    types = {NOT_CANCELED: _not_canceled(), CONFLICT: _conflict()}
    return {
        "$schema": DIALECT,
        "title": "Job event",
        "description": JOB_EVENT,
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in types],
        "$defs": types,
    }


def _not_canceled() -> Schema:
    status = {
        "enum": ["dialling", *Status, NOT_FOUND],
        "description": "Where the job stands: it is being dialled, has ended in this way, or is not one of `account`.",
    }
    told = "A cancel changed nothing."
    return _envelope(NOT_CANCELED, told, _of_job() | {"status": status} | _told("NOT_CANCELED"))


def _conflict() -> Schema:
    data = {
        "status": {
            "enum": ["waiting", "dialling", *Status, None],
            "description": "Where the first job with the id stands; null if it is another account's.",
        },
        "fields": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The fields that differ from the first job; empty if that is not known any more.",
        },
    }
    told = "A job was dropped, because another one was the first to use its id."
    return _envelope(CONFLICT, told, _of_job() | data | _told("CONFLICT"))


def _of_job() -> Schema:
    return {"id": {"description": "The job's id.", **ID}, "account": ACCOUNT}


def _told(code: str) -> Schema:
    return {"error": _whole({"code": {"const": code}, "message": {"type": "string"}})}


def _endpoint() -> Schema:
    return {
        "account": ACCOUNT,
        "endpoint": {
            "type": "string",
            "minLength": 1,
            "description": "Its name, or a hash of its URL if it has none.",
        },
    }


def _whole(properties: Schema) -> Schema:
    """The schema of an object that requires all of `properties`."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _data(status: Status) -> Schema:
    rejected = status is Status.REJECTED
    return {
        **_of_job(),
        "note": _or_null({"type": "string", "maxLength": MAX_NOTE}, "The job's own `ref`, or null."),
        **_number(rejected=rejected),
        "attempts": {
            "type": "integer",
            "minimum": 0,
            "description": "Requests that reached the network.",
        },
        "accepted_at": MOMENT,
        "finished_at": MOMENT,
        **({"ref": _ref()} if status is Status.PLACED else {"error": _error(status)}),
    }


def _number(*, rejected: bool) -> Schema:
    country = {"type": "string", "pattern": "^[1-9][0-9]{0,2}$"}
    phone = {"type": "string", "pattern": rf"^\*{{1,11}}[0-9]{{{MASKED_DIGITS}}}$"}
    masked = "All but the last four digits are masked."
    if not rejected:
        return {"country": country, "phone": phone | {"description": masked}}
    return {
        "country": _or_null(country, "Null where it is absent or not well-formed."),
        "phone": _or_null(phone, f"{masked} Null where it is absent or not well-formed."),
    }


def _or_null(schema: Schema, description: str) -> Schema:
    return {"anyOf": [schema, NULL], "description": description}


def _ref() -> Schema:
    described = "32 letters and digits; or whatever else stands alone in the provider's `response`, cleaned."
    return {"type": "string", "minLength": 1, "maxLength": MAX_MESSAGE_CHARACTERS, "description": described}


def _error(status: Status) -> Schema:
    error = {"code": CODES[status], "message": {"type": "string"}}
    if status is Status.REJECTED:
        what = "What is wrong with each field, by its name."
        told = {"type": "object", "additionalProperties": {"type": "string"}, "description": what}
        return _whole(error | {"fields": told})
    return _whole(error)


def texts() -> dict[str, str]:
    """The text of each schema file in docs/reference, by file name."""
    schemas = {
        "job.schema.json": job_schema(),
        "event.schema.json": event_schema(),
        "endpoint-event.schema.json": endpoint_event_schema(),
        "job-event.schema.json": job_event_schema(),
        "cancel.schema.json": cancel_schema(),
    }
    return {name: json.dumps(schema, indent=2) + "\n" for name, schema in schemas.items()}


if __name__ == "__main__":
    for name, text in texts().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
