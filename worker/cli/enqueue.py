"""`callworker enqueue`: jobs in, for people."""

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
from worker.core.jobs import Job
from worker.errors import InvalidJob
from worker.settings import Settings

REQUIRED = ("account", "country", "phone", "code")
FIELDS = (*REQUIRED, "ext", "message", "ref", "expires_at", "id")
OF_ONE_JOB = ("id", "phone", "wait", "timeout")
OF_A_FILE = ("format_", "skip_invalid", "new_ids")


@click.command(
    epilog=example(
        "callworker enqueue --account acme --country 1 --phone 2125550123 --code -",
        "callworker enqueue --file jobs.csv --account acme --expires-at 2h",
        "generate-jobs | callworker enqueue --file - --format jsonl",
    )
)
@click.option("--account", help="Name in the accounts file.")
@click.option("--country", help="Calling code, 1 to 3 digits.")
@click.option("--phone", help="Number with area code, digits only.")
@click.option(
    "--code", help="The PIN that is spoken. - reads it from a prompt or standard input, out of sight of ps."
)
@click.option("--ext", help="Extension to dial.")
@click.option("--message", help="Language spoken, in any case; else English.")
@click.option("--ref", help="A note of your own, given back in the event.")
@click.option(
    "--expires-at",
    metavar="TIME",
    help="RFC 3339 time, or a span from now as 90s, 10m, 2h; else the account's ttl.",
)
@click.option("--id", help="Idempotency key: one id is one call. Made up if absent.")
@click.option("--file", help="Many jobs from a file; - is standard input.")
@click.option("--format", "format_", type=click.Choice(["jsonl", "csv"]), help="Else by the file's suffix.")
@click.option("--skip-invalid", is_flag=True, help="Send the valid lines of a file although others are not.")
@click.option(
    "--new-ids", is_flag=True, help="Lines without an id are new calls, also if they were sent before."
)
@click.option(
    "--wait", is_flag=True, help="Wait until the job has ended, and print its event; 1 unless placed."
)
@click.option(
    "--timeout", type=click.FloatRange(0), metavar="SECONDS", help="Wait no longer than that; then 1."
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Send one job from flags, or many from a file; print their ids.

    A file holds one JSON object a line (.jsonl), or a table with the fields' names in its first line (.csv), where an
    empty cell counts as absent. Flags beside --file are for the lines that leave that field out. Unless every line is
    valid, nothing is sent.

    A line without an id gets one that follows from what it says, so that a file that is sent again is no second call;
    equal lines of one file are calls of their own.
    """
    fields = {name: options[name] for name in FIELDS if options[name] is not None}
    given = {name for name, value in options.items() if value not in (None, False)}
    settings = Settings.from_env()
    if options["file"] is None:
        _refuse(given.intersection(OF_A_FILE), "to --file")
        ctx.exit(_send_one(settings, fields, options))
    _refuse(given.intersection(OF_ONE_JOB), "to one job, not to --file")
    ctx.exit(_send_file(settings, fields, options))


def _refuse(misplaced: Iterable[str], whose: str) -> None:
    flags = ", ".join(sorted(f"--{name.strip('_').replace('_', '-')}" for name in misplaced))
    if flags:
        raise click.UsageError(f"{flags}: belongs {whose}")


def _send_one(settings: Settings, fields: dict[str, str], options: dict[str, Any]) -> int:
    if options["timeout"] is not None and not options["wait"]:
        raise click.UsageError("--timeout belongs to --wait")
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
        raise click.UsageError(f"missing {', '.join(missing)}; or give many jobs with --file")
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
