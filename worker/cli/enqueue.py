"""`callworker enqueue`: jobs in, for people."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from worker.cli import places
from worker.cli.jobfile import Format, check, format_of, read_lines
from worker.cli.output import example, json_option, print_json, say
from worker.cli.sending import Sent, send, wait_for_end
from worker.errors import InvalidJob
from worker.jobs import Job
from worker.settings import Settings

REQUIRED = ("account", "country", "phone", "code")
NOT_FIELDS = ("file", "format_", "skip_invalid", "wait", "as_json")
BAD_LINES_SHOWN = 20


@click.command(
    epilog=example(
        "callworker enqueue --account acme --country 1 --phone 2125550123 --code -",
        "callworker enqueue --file jobs.csv --skip-invalid",
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
@click.option("--message", help="Language spoken; else English.")
@click.option("--ref", help="A note of your own, given back in the event.")
@click.option("--expires-at", help="RFC 3339 time; else the account's ttl from now.")
@click.option("--id", help="Idempotency key: one id is one call. Made up if absent.")
@click.option("--file", help="Many jobs from a file; - is standard input.")
@click.option("--format", "format_", type=click.Choice(["jsonl", "csv"]), help="Else by the file's suffix.")
@click.option("--skip-invalid", is_flag=True, help="Send the valid lines of a file although others are not.")
@click.option(
    "--wait", is_flag=True, help="Wait until the job has ended, and print its event; 1 unless placed."
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Send one job from flags, or many from a file; print their ids.

    A file holds one JSON object a line (.jsonl), or a table with the fields' names in its first line (.csv), where an
    empty cell counts as absent. Unless every line is valid, nothing is sent.
    """
    fields = {name: value for name, value in options.items() if name not in NOT_FIELDS and value is not None}
    settings = Settings.from_env()
    if options["file"] is None:
        if options["format_"] or options["skip_invalid"]:
            raise click.UsageError("--format and --skip-invalid belong to --file")
        ctx.exit(_send_one(settings, fields, wait=options["wait"], as_json=options["as_json"]))
    if fields or options["wait"]:
        raise click.UsageError("--file goes with --format, --skip-invalid and --json alone")
    ctx.exit(_send_file(settings, **{name: options[name] for name in NOT_FIELDS if name != "wait"}))


def _send_one(settings: Settings, fields: dict[str, str], *, wait: bool, as_json: bool) -> int:
    job = _one_job(settings, fields)
    send(places.broker(settings), [job])
    if wait:
        return wait_for_end(settings, job, as_json=as_json)
    _print(Sent.of(job), as_json)
    return 0


def _one_job(settings: Settings, fields: dict[str, str]) -> Job:
    missing = [f"--{name}" for name in REQUIRED if name not in fields]
    if missing:
        raise click.UsageError(f"missing {', '.join(missing)}; or give many jobs with --file")
    if fields["code"] == "-":
        fields = fields | {"code": _hidden_code()}
    try:
        return check(fields, extended=settings.proxstop_extended == "on")
    except InvalidJob as problem:
        flags = "; ".join(f"--{name.replace('_', '-')} {text}" for name, text in problem.fields.items())
        raise click.UsageError(flags) from None


def _hidden_code() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    typed: str = click.prompt("code", hide_input=True, err=True)
    return typed.strip()


def _send_file(
    settings: Settings, file: str, format_: Format | None, *, skip_invalid: bool, as_json: bool
) -> int:
    jobs, problems = read_lines(file, format_of(file, format_), extended=settings.proxstop_extended == "on")
    for problem in problems[:BAD_LINES_SHOWN]:
        say(f"callworker: {problem}", err=True)
    if problems and not skip_invalid:
        more = (
            f" ({len(problems) - BAD_LINES_SHOWN} more not shown)" if len(problems) > BAD_LINES_SHOWN else ""
        )
        raise click.ClickException(f"nothing was sent; lines that are not valid: {len(problems)}{more}")
    if not jobs and not problems:
        raise click.ClickException(f"{_name(file)}: holds no jobs")
    send(places.broker(settings), jobs, progress=True)
    for job in jobs:
        _print(Sent.of(job), as_json)
    if problems:
        raise click.ClickException(f"jobs sent: {len(jobs)}; lines skipped: {len(problems)}")
    return 0


def _print(sent: Sent, as_json: bool) -> None:
    if as_json:
        print_json(sent.as_dict())
    else:
        say(sent.id)


def _name(file: str) -> str:
    return "standard input" if file == "-" else Path(file).name
