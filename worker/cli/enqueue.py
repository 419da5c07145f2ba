"""`callworker enqueue`: sends jobs from flags or from a file."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import click

from worker.cli import places
from worker.cli.given import hidden, parse_given
from worker.cli.jobfile import format_of, read_sheet
from worker.cli.output import example, json_option
from worker.cli.sendfile import send_sheet
from worker.cli.sending import send, tell
from worker.cli.served import accounts_at_hand, unserved
from worker.cli.traced import exported
from worker.core.jobs import Job
from worker.errors import InvalidJob
from worker.settings import Settings

REQUIRED = ("account", "country", "phone", "code")
FIELDS = (*REQUIRED, "ext", "message", "ref", "expires_at", "traceparent", "id")
OF_ONE_JOB = ("id", "phone", "wait", "timeout")
OF_A_FILE = ("format_", "skip_invalid", "new_ids")


@click.command(
    epilog=example(
        "callworker enqueue --account acme --country 1 --phone 2125550123 --code -",
        "callworker enqueue --file jobs.csv --account acme --expires-at 2h",
        "generate-jobs | callworker enqueue --file - --format jsonl",
    )
)
@click.option("--account", help="The name of an account in the accounts file.")
@click.option("--country", help="The country calling code, 1 to 3 digits.")
@click.option("--phone", help="The number with its area code, digits only.")
@click.option(
    "--code",
    help="The PIN to speak. With - it is read from a prompt or standard input, so that ps cannot show it.",
)
@click.option("--ext", help="The extension to dial.")
@click.option("--message", help="The language to speak; upper and lower case are equal. [default: English]")
@click.option("--ref", help="A note of your own, returned in the event.")
@click.option(
    "--expires-at",
    metavar="TIME",
    help="An RFC 3339 time, or a span from now such as 90s, 10m or 2h. [default: the account's ttl]",
)
@click.option("--traceparent", help="The trace that the job belongs to, as W3C Trace Context spells it.")
@click.option("--id", help="The idempotency key: one id is one call. [default: a random id]")
@click.option("--file", help="Send many jobs from this file; - is standard input.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["jsonl", "csv"]),
    help="The format of the file. [default: by its suffix]",
)
@click.option(
    "--skip-invalid", is_flag=True, help="Send the valid lines of a file even if others are not valid."
)
@click.option(
    "--new-ids", is_flag=True, help="Treat lines without an id as new calls, even if they were sent before."
)
@click.option(
    "--wait",
    is_flag=True,
    help="Wait until the job has ended and print its event. The exit status is 1 unless the call was placed.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="With --wait: give up after this time, with exit status 1.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Send one job from flags, or many from a file, and print their ids.

    A file holds one JSON object per line (.jsonl), or a table whose first line names the fields (.csv). An empty cell
    of a table counts as absent. Flags given together with --file apply to the lines that lack that field. Nothing is
    sent unless every line is valid.

    A line without an id gets one that is computed from its content, so sending a file again places no second call.
    Equal lines of one file are separate calls.
    """
    fields = {name: options[name] for name in FIELDS if options[name] is not None}
    given = {name for name, value in options.items() if value not in (None, False)}
    settings = Settings.from_env()
    if options["file"] is None:
        _refuse(given.intersection(OF_A_FILE), "only for --file")
        send_them = _send_one
    else:
        _refuse(given.intersection(OF_ONE_JOB), "for one job, not for --file")
        send_them = _send_file
    with exported(settings):
        status = send_them(settings, fields, options)
    ctx.exit(status)


def _refuse(misplaced: Iterable[str], whose: str) -> None:
    flags = ", ".join(sorted(f"--{name.strip('_').replace('_', '-')}" for name in misplaced))
    if flags:
        raise click.UsageError(f"{flags}: is {whose}")


def _send_one(settings: Settings, fields: dict[str, str], options: dict[str, Any]) -> int:
    if options["timeout"] is not None and not options["wait"]:
        raise click.UsageError("--timeout needs --wait")
    job = _one_job(settings, fields)
    broker_url = places.broker(settings)
    for name, problem in unserved(job, accounts_at_hand(settings)).items():
        raise click.UsageError(f"--{name} {problem}")
    send(broker_url, [job])
    if options["wait"]:
        from worker.cli.waiting import wait_for_end

        timeout_seconds = options["timeout"]
        return wait_for_end(settings, job, timeout_seconds=timeout_seconds, as_json=options["as_json"])
    tell(job, as_json=options["as_json"])
    return 0


def _one_job(settings: Settings, fields: dict[str, str]) -> Job:
    missing = [f"--{name}" for name in REQUIRED if name not in fields]
    if missing:
        raise click.UsageError(f"missing {', '.join(missing)}; to send many jobs, use --file")
    try:
        return parse_given({"id": _made_up_id(), **_with_code(fields)}, extended=settings.extended)
    except InvalidJob as error:
        flags = "; ".join(f"--{name.replace('_', '-')} {text}" for name, text in error.fields.items())
        raise click.UsageError(flags) from None


def _made_up_id() -> str:
    return f"job_{uuid.uuid4().hex}"


def _with_code(fields: dict[str, str]) -> dict[str, str]:
    return fields | {"code": hidden("code")} if fields.get("code") == "-" else fields


def _send_file(settings: Settings, fields: dict[str, str], options: dict[str, Any]) -> int:
    file = options["file"]
    if fields.get("code") == "-" and file == "-":
        raise click.UsageError("--code - and --file - both read standard input")
    format = format_of(file, options["format_"])
    sheet = read_sheet(file, format, _with_code(fields), extended=settings.extended)
    if not sheet.lines and not sheet.problems:
        raise click.ClickException(f"{sheet.name}: holds no jobs")
    return send_sheet(settings, sheet, options)
