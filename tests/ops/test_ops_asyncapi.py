"""The AsyncAPI document is valid, and its channels and messages are those of the program."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource

from callworker.job import checked
from callworker.message import cancel_message, verify_message
from ops.schemas import endpoint_event_schema, job_event_schema, texts
from tests.ops.examples import REFERENCE
from tests.processes import absent
from worker.broker.queues import (
    CALLS,
    CANCEL_TASK_NAME,
    INTAKE,
    RESULTS,
    RESULTS_EXCHANGE,
    SHARD_QUEUES,
    TASK_NAME,
)
from worker.core.events import Status, event_type
from worker.delivery.signing import verify

PACKAGE = Path(__file__).parent / "asyncapi"
NPM_SECONDS = 100
SECRET = b"an example, not a secret"
DOCUMENT: dict[str, Any] = yaml.safe_load((REFERENCE / "asyncapi.yaml").read_text(encoding="utf-8"))
CHANNELS, MESSAGES = DOCUMENT["channels"], DOCUMENT["components"]["messages"]
ENDPOINT_TYPES = list(endpoint_event_schema()["$defs"])
JOB_TYPES = list(job_event_schema()["$defs"])
EXAMPLES = [(name, place) for name in MESSAGES for place in range(len(MESSAGES[name]["examples"]))]


def references(part: Any) -> Iterator[str]:
    """Every `$ref` of the document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from references(each)


def resolved(reference: str) -> Any:
    """Return the target of a reference, in this document or in a file beside it. Raises KeyError, OSError."""
    file, _, pointer = reference.partition("#")
    found = json.loads((REFERENCE / file).read_text(encoding="utf-8")) if file else DOCUMENT
    for name in filter(None, pointer.split("/")):
        found = found[name]
    return found


def payload(message: str) -> Draft202012Validator:
    """For the payload of a message; the files that it refers to are those in docs/reference."""
    files = {(REFERENCE / name).as_uri(): resolved(name) for name in texts()}
    resources = [(uri, Resource.from_contents(schema)) for uri, schema in files.items()]
    schema = {
        "$id": (REFERENCE / "asyncapi.yaml").as_uri(),
        "allOf": [MESSAGES[message]["payload"]["schema"]],
    }
    return Draft202012Validator(schema, registry=Registry[Any]().with_resources(resources))


def addresses(channel: dict[str, Any]) -> set[str]:
    """All addresses of a channel, its parameter filled in where its values are known."""
    address, parameters = channel["address"], channel.get("parameters", {})
    values = [(f"{{{name}}}", value) for name, each in parameters.items() for value in each.get("enum", [])]
    return {address.replace(mark, value) for mark, value in values} or {address}


@pytest.fixture(scope="module")
def published_schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """AsyncAPI's own JSON Schema of version 3.0.0, from the npm package that `asyncapi/package-lock.json` pins."""
    if shutil.which("npm") is None:
        absent("npm")
    folder = tmp_path_factory.mktemp("asyncapi") / "package"
    shutil.copytree(PACKAGE, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=NPM_SECONDS, check=False
    )
    if done.returncode != 0:
        absent(f"npm's registry, which said {done.stderr[-300:]!r}")
    text = (folder / "node_modules/@asyncapi/specs/schemas/3.0.0.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def test_document_is_valid_asyncapi(published_schema: dict[str, Any]) -> None:
    """The document is valid by the JSON Schema that the AsyncAPI initiative publishes."""
    errors = [error.json_path for error in Draft7Validator(published_schema).iter_errors(DOCUMENT)]
    assert errors == []


def test_published_schema_finds_a_mistake(published_schema: dict[str, Any]) -> None:
    """An unknown field in a channel is one, so that the test above can fail."""
    wrong = DOCUMENT | {"channels": {"calls": CHANNELS["calls"] | {"adress": "calls"}}}
    assert not Draft7Validator(published_schema).is_valid(wrong)


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_reference_leads_somewhere(reference: str) -> None:
    """Every reference of this document and of the schemas beside it has a target."""
    assert isinstance(resolved(reference), dict)


def test_channels_are_the_queues_of_the_program() -> None:
    """No queue is missing or left over, and a stream and a queue share the name `calls.intake`."""
    shown = {name: addresses(channel) for name, channel in CHANNELS.items()}
    assert shown.pop("webhooks") == {"{path}"}
    assert shown == {
        "calls": {CALLS.name},
        "shards": {queue.name for queue in SHARD_QUEUES},
        "intakeQueue": {INTAKE.name},
        "intakeStream": {INTAKE.name},
        "results": {RESULTS.name},
        "resultsExchange": {*map(event_type, Status), *JOB_TYPES, *ENDPOINT_TYPES},
    }


def test_bindings_are_the_declarations_of_the_program() -> None:
    """A client that declares what it reads here declares the same as the worker."""
    bindings = {
        name: channel["bindings"]["amqp"] for name, channel in CHANNELS.items() if "bindings" in channel
    }
    exchange = bindings.pop("resultsExchange")["exchange"]
    kombu = RESULTS_EXCHANGE
    assert exchange == {
        "name": kombu.name, "type": kombu.type, "durable": kombu.durable, "autoDelete": kombu.auto_delete
    }  # fmt: skip
    for name, queue in {"calls": CALLS, "intakeQueue": INTAKE, "results": RESULTS}.items():
        shown = bindings[name]["queue"]
        assert shown["name"] == queue.name
        assert (shown["durable"], shown["exclusive"]) == (queue.durable, queue.exclusive)
        assert shown["autoDelete"] == queue.auto_delete


def test_every_channel_has_operations_and_messages() -> None:
    """Jobs are received and events are sent; queue `results` is filled by its exchange."""
    used = {
        operation["channel"]["$ref"]: operation["action"] for operation in DOCUMENT["operations"].values()
    }
    assert used.keys() == {f"#/channels/{name}" for name in CHANNELS if name != "results"}
    sent = {place for place, action in used.items() if action == "send"}
    assert sent == {"#/channels/resultsExchange", "#/channels/webhooks"}
    carried = {reference for channel in CHANNELS.values() for reference in references(channel["messages"])}
    assert carried == {f"#/components/messages/{name}" for name in MESSAGES}


def schema_of(message: str) -> str:
    reference: str = MESSAGES[message]["payload"]["schema"]["$ref"]
    return reference


def test_events_have_a_message_for_each_type() -> None:
    """Each refers to the schema of its own type, those that end no job to files of their own."""
    shown = {MESSAGES[status]["name"]: schema_of(status) for status in Status}
    assert shown == {kind: f"./event.schema.json#/$defs/{kind}" for kind in map(event_type, Status)}
    shown = {MESSAGES[name]["name"]: schema_of(name) for name in ("notCanceled", "conflict")}
    assert shown == {kind: f"./job-event.schema.json#/$defs/{kind}" for kind in JOB_TYPES}
    shown = {MESSAGES[name]["name"]: schema_of(name) for name in ("failing", "disabled")}
    assert shown == {kind: f"./endpoint-event.schema.json#/$defs/{kind}" for kind in ENDPOINT_TYPES}


@pytest.mark.parametrize(("message", "place"), EXAMPLES)
def test_example_is_valid(message: str, place: int) -> None:
    """Payload and headers of each example fit the schemas of their message."""
    example = MESSAGES[message]["examples"][place]
    payload(message).validate(example["payload"])
    Draft202012Validator(MESSAGES[message].get("headers", {})).validate(example.get("headers", {}))


@pytest.mark.parametrize("message", MESSAGES)
def test_payload_is_not_just_anything(message: str) -> None:
    """References inside of payloads are followed: an empty object fits none of them."""
    assert not payload(message).is_valid({})


def test_example_of_a_stream_entry_holds_a_job_or_a_cancel() -> None:
    """Validators do not look into the JSON of a string by themselves."""
    for message, example in zip(("job", "cancel"), MESSAGES["entry"]["examples"], strict=True):
        payload(message).validate(json.loads(example["payload"]["job"]))


def test_example_of_a_webhook_is_signed() -> None:
    """The example is signed with the secret in its summary, so that a receiver can try its own verification on it."""
    (example,) = MESSAGES["delivery"]["examples"]
    assert f"whsec_{base64.b64encode(SECRET).decode()}" in example["summary"]
    body = json.dumps(example["payload"], separators=(",", ":")).encode()
    verify([SECRET], example["headers"], body, float(example["headers"]["webhook-timestamp"]))


@pytest.mark.parametrize(("shown", "name"), [("task", TASK_NAME), ("cancelTask", CANCEL_TASK_NAME)])
def test_task_that_the_producer_sends_is_the_message_shown(shown: str, name: str) -> None:
    """Headers and body are shown as they are in the broker."""
    job = {"id": "job-1", "account": "acme", "country": 1, "phone": "2125550123", "code": 4711}
    message = (
        verify_message(checked(job))
        if shown == "task"
        else cancel_message({"id": "job-1", "account": "acme"})
    )
    assert message.headers["task"] == name == MESSAGES[shown]["name"]
    Draft202012Validator(MESSAGES[shown]["headers"]).validate(message.headers)
    payload(shown).validate(json.loads(message.body))
