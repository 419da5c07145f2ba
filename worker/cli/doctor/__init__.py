"""`callworker doctor`: every setting with its source, then whether what it points to is there and fit.

listing.py   the settings, secrets masked
files.py     accounts, keys, webhook secrets, the provider's error table
servers.py   Redis, the broker and its queues
network.py   the provider, the metrics port
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import click
from rich.text import Text

from worker.cli.doctor import files, network, servers
from worker.cli.doctor.finding import Finding, Grade
from worker.cli.doctor.listing import Listed, listed
from worker.cli.output import console, example, json_option, print_json, table
from worker.errors import ConfigurationError
from worker.settings import Settings

STYLES = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}


@click.command(epilog=example("callworker doctor", "callworker doctor --offline --json"))
@click.option("--offline", is_flag=True, help="Do not ask the provider.")
@json_option
@click.pass_context
def command(ctx: click.Context, offline: bool, as_json: bool) -> None:
    """Show every setting and check what it points to; exit status 1 if anything is wrong.

    Asks the provider for each account's balance, one request each that rings nobody.
    """
    settings, findings = examine(offline=offline)
    rows = listed(settings)
    if as_json:
        ok = not any(finding.grade is Grade.FAIL for finding in findings)
        print_json(
            {"ok": ok, "settings": [row.as_dict() for row in rows], "checks": [f.as_dict() for f in findings]}
        )
    else:
        _print(rows, findings)
    ctx.exit(any(finding.grade is Grade.FAIL for finding in findings))


def examine(*, offline: bool) -> tuple[Settings | None, list[Finding]]:
    """The settings, None where they are not valid, and every finding."""
    try:
        settings = Settings.from_env()
    except ConfigurationError as problem:
        return None, [Finding.fail("settings", str(problem), "correct that variable and run this again")]
    checks: list[Callable[[Settings], Iterator[Finding]]] = [files.check, servers.store, servers.broker]
    checks += [] if offline else [network.provider]
    checks += [network.metrics_port]
    return settings, [
        Finding.ok("settings", "valid"),
        *(found for check in checks for found in check(settings)),
    ]


def _print(rows: Iterable[Listed], findings: Iterable[Finding]) -> None:
    out = console()
    out.print(table(("setting", "value", "source"), ((r.name, r.value, r.source) for r in rows)))
    out.print()
    out.print(table(("", "check", "found", "to mend it"), map(_row, findings)))


def _row(finding: Finding) -> tuple[str | Text, ...]:
    grade = Text(finding.grade.value, style=STYLES[finding.grade])
    return grade, finding.name, finding.text, finding.mend
