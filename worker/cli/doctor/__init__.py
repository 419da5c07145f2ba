"""`callworker doctor`: lists every setting with its source, and checks everything that the settings point to.

listing      the settings, with secrets masked
variables    wrong settings, and variables that look like a setting
files        accounts, keys, webhook secrets, the provider's error table
guarding     webhooks whose address is not allowed
signing      lengths of webhook secrets, and until when they sign
exposure     files and connections that other people could read or change
servers      Redis, the broker and its queues
layout       how the state is divided
parts        how much of a state on several servers is out of reach
nodes        the nodes of a RabbitMQ cluster
sentinels    whether Sentinels answer, agree, and could choose another master
set_back     whether it came back with an earlier state
writes       whether Redis takes writes, its memory, and its clock
replication  whether it is the primary, and its replicas
fleet        which workers live, whether they are drained, their accounts files, and when Redis will be full
network      the provider, the metrics port
endpoints    the receivers of webhooks
tracing      whether jobs can be traced, and the collector of spans
finding      the outcome of one check
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import click
from rich.text import Text

from worker.cli.doctor import endpoints, exposure, files, network, sentinels, servers, tracing, variables
from worker.cli.doctor.finding import Finding, Grade
from worker.cli.doctor.listing import Listed, listed
from worker.cli.output import console, example, json_option, print_json, table
from worker.settings import Settings

STYLES = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}


@click.command(epilog=example("callworker doctor", "callworker doctor --offline --json"))
@click.option(
    "--offline",
    is_flag=True,
    help="Do not connect to the provider, to receivers of webhooks or to a collector of spans.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, offline: bool, as_json: bool) -> None:
    """Show every setting and check what it points to. The exit status is 1 if anything is wrong.

    Asks the provider for the balance of each account, one request each, which rings no phone. Connects to the receivers
    of webhooks without sending anything.
    """
    settings, wrong, findings = examine(offline=offline)
    rows = listed(settings, wrong)
    if as_json:
        ok = not any(finding.grade is Grade.FAIL for finding in findings)
        print_json(
            {"ok": ok, "settings": [row.as_dict() for row in rows], "checks": [f.as_dict() for f in findings]}
        )
    else:
        _print(rows, findings)
    ctx.exit(any(finding.grade is Grade.FAIL for finding in findings))


Check = tuple[Callable[[Settings], Iterator[Finding]], frozenset[str]]
"""A check, and the variables that must be valid for it to make sense."""

ON_THIS_MACHINE: tuple[Check, ...] = (
    (files.check, frozenset()),
    (exposure.check, frozenset({"PROXSTOP_URL", "REDIS_URL"})),
    (servers.store, frozenset({"REDIS_URL"})),
    (servers.broker, frozenset({"REDIS_URL", "BROKER_URL"})),
    (sentinels.check, frozenset({"REDIS_URL", "BROKER_URL"})),
    (network.metrics_port, frozenset({"METRICS_HOST", "METRICS_PORT"})),
    (tracing.check, frozenset({"TRACING"})),
)
OUTSIDE: tuple[Check, ...] = (
    (network.provider, frozenset({"PROXSTOP_URL"})),
    (endpoints.check, frozenset()),
    (tracing.collector, frozenset({"TRACING"})),
)


def examine(*, offline: bool) -> tuple[Settings, dict[str, str], list[Finding]]:
    """Run the checks. Returns the settings, with defaults for wrong ones; a line for each wrong one; the findings."""
    settings, wrong = Settings.valid_part()
    checks = ON_THIS_MACHINE if offline else ON_THIS_MACHINE + OUTSIDE
    sensible = [check for check, needed in checks if not needed & wrong.keys()]
    findings = [
        *variables.check(settings, wrong),
        *(found for check in sensible for found in check(settings)),
    ]
    return settings, wrong, findings


def _print(rows: Iterable[Listed], findings: Iterable[Finding]) -> None:
    out = console()
    out.print(table(("setting", "value", "source"), ((r.name, r.value, r.source) for r in rows)))
    out.print()
    out.print(table(("", "check", "found", "what to do"), map(_row, findings)))


def _row(finding: Finding) -> tuple[str | Text, ...]:
    grade = Text(finding.grade.value, style=STYLES[finding.grade])
    return grade, finding.name, finding.text, finding.remedy
