"""`callworker dead`: messages that no event could answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click

from worker.cli import places
from worker.cli.audited import Trail, why_option
from worker.cli.given import hidden, parse_given
from worker.cli.output import console, example, json_option, print_json, say, table
from worker.cli.served import accounts_at_hand, unserved
from worker.cli.traced import exported
from worker.core.events import rfc3339
from worker.core.jobs import Job
from worker.privacy.harmless import to_send_again
from worker.settings import Settings
from worker.state.dead_letters import DeadLetter, RedisDeadLetters


@click.group(epilog=example("callworker dead list"))
def command() -> None:
    """List, show, replay or drop messages that no event could answer, each with its reason."""


@command.command("list", epilog=example("callworker dead list --max 5", "callworker dead list --json"))
@click.option(
    "--max", "most", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many."
)
@json_option
def list_(most: int, as_json: bool) -> None:
    """List dead letters, newest first. They are stored without PINs, phone numbers and keys."""
    with _letters() as letters:
        found = letters.newest(most)
    if as_json:
        print_json([_document(letter) for letter in found])
    elif found:
        console().print(table(("id", "time", "source", "job", "reason", "content"), map(_row, found)))
    else:
        say("no dead letters")


@command.command("show", epilog=example("callworker dead show 5f2c01aa"))
@click.argument("letter_id", metavar="LETTER")
@json_option
def show(letter_id: str, as_json: bool) -> None:
    """Show one dead letter in full."""
    with _letters() as letters:
        document = _document(_found(letters, letter_id))
    if as_json:
        print_json(document)
    else:
        for name, value in document.items():
            say(f"{name:<8} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")


@command.command(
    "replay", epilog=example("callworker dead replay 5f2c01aa --set code=- --set phone=2125550123")
)
@click.argument("letter_id", metavar="LETTER")
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Correct a field, or give it again. For the value -, you are asked for it without echo.",
)
@why_option
def replay(letter_id: str, given: tuple[str, ...], why: str) -> None:
    """Send the job of a dead letter again and drop the letter.

    A letter keeps neither the PIN nor the phone number, so give both with --set, together with a correct value for each
    field that was wrong. With --set FIELD=- you are asked for the value, or it is read from a line of standard input:
    other users of the machine can see a command line. With --set FIELD= the field is left out. The job keeps its id,
    even if that was the id of a Celery task.
    """
    from worker.producer import Producer

    settings = Settings.from_env()
    with places.store(settings) as client:
        letters = RedisDeadLetters(client)
        job = _job(settings, _corrected(_found(letters, letter_id), given))
        with exported(settings), Producer(places.broker(settings)) as producer:
            trail, detail = Trail(client, settings, why), {"letter": letter_id, "set": _names(given)}
            trail.note("dead replay", account=job.account, job=job.id, detail=detail)
            producer.enqueue(job)
        letters.drop(letter_id)
    say(f"sent as job {job.id}")


@command.command("drop", epilog=example("callworker dead drop 5f2c01aa"))
@click.argument("letter_ids", metavar="LETTER...", nargs=-1, required=True)
@why_option
def drop(letter_ids: tuple[str, ...], why: str) -> None:
    """Drop dead letters. They cannot be restored."""
    settings = Settings.from_env()
    with places.store(settings) as client:
        letters, trail = RedisDeadLetters(client), Trail(client, settings, why)
        for letter_id in letter_ids:
            letter = _found(letters, letter_id)
            detail = {"letter": letter_id, "source": letter.source, "reason": letter.reason}
            trail.note("dead drop", job=letter.job_id, detail=detail)
            letters.drop(letter_id)
            say(f"dropped {letter_id}")


@contextmanager
def _letters() -> Iterator[RedisDeadLetters]:
    with places.store(Settings.from_env()) as client:
        yield RedisDeadLetters(client)


def _found(letters: RedisDeadLetters, letter_id: str) -> DeadLetter:
    letter = letters.find(letter_id)
    if letter is None:
        raise click.ClickException(f"no dead letter {letter_id}")
    return letter


def _job(settings: Settings, fields: dict[str, Any]) -> Job:
    """Make the job. Raises InvalidJob, and UsageError for a job that a worker would reject."""
    if "id" not in fields:
        say("callworker: the letter has no id, so the job gets a new one and counts as a new call", err=True)
        fields = {**fields, "id": f"job_{uuid.uuid4().hex}"}
    job = parse_given(fields, extended=settings.extended)
    for name, problem in unserved(job, accounts_at_hand(settings)).items():
        raise click.UsageError(f"{name}: {problem}; correct it with --set")
    return job


def _corrected(letter: DeadLetter, given: tuple[str, ...]) -> dict[str, Any]:
    """The fields to send. Raises UsageError if a field is missing because the letter does not keep it."""
    fields, not_kept = to_send_again(letter.content)
    assigned = dict(map(_assignment, given))
    for name in sorted({"code", "phone", *not_kept} - assigned.keys()):
        raise click.UsageError(f"a dead letter does not keep `{name}`: give it with --set {name}=…")
    own_id = {"id": letter.job_id} if letter.job_id else {}
    return {name: value for name, value in (own_id | fields | assigned).items() if value != ""}


def _names(given: tuple[str, ...]) -> str:
    """The names of the fields that were given, without their values."""
    return ", ".join(text.partition("=")[0] for text in given)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError("--set takes FIELD=VALUE")
    return name, hidden(name) if value == "-" else value


def _document(letter: DeadLetter) -> dict[str, Any]:
    return asdict(letter) | {"at": rfc3339(int(letter.at * 1_000_000))}


def _row(letter: DeadLetter) -> tuple[str, ...]:
    text = (
        letter.content if isinstance(letter.content, str) else json.dumps(letter.content, ensure_ascii=False)
    )
    at, job_id = rfc3339(int(letter.at * 1_000_000)), letter.job_id or "-"
    return letter.id, at, letter.source, job_id, letter.reason, text[:200]
