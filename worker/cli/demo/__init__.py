"""`callworker demo`: the whole path on this machine, checked from outside.

scenario     the jobs, and how each must end
props        the shipped accounts, made-up keys and secrets, ports
stage        embedded server, sandbox, webhook receiver, worker
process      the worker, a real `callworker run`
tied         what makes it end with the demo
receiver     the webhook receiver
performance  sends the jobs and watches
display      progress while it runs
verdict      what was expected against what was seen
report       tables and JSON
"""

from __future__ import annotations

import click

from worker.cli.ending import any_end_like_ctrl_c
from worker.cli.output import console, example, json_option, print_json, say


@click.command(epilog=example("callworker demo", "callworker demo --json"))
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show real jobs travel the real path, in well under a minute; nothing outside this machine is asked.

    Starts an embedded server, the sandbox provider, a webhook receiver and a worker, sends jobs of three accounts that
    end in every way there is, and compares what became of them with what had to. Exit status 0 only if all is right.
    """
    from worker.cli.demo.display import display
    from worker.cli.demo.performance import perform
    from worker.cli.demo.report import for_machines, for_people
    from worker.cli.demo.scenario import plan
    from worker.cli.demo.stage import set_up
    from worker.cli.demo.verdict import judge

    say("starting an embedded server, the sandbox provider, a webhook receiver and a worker", err=True)
    with any_end_like_ctrl_c(), set_up() as stage:
        jobs, url = plan(), stage.worker.metrics_url
        with display(jobs, url) as show:
            seen = perform(stage, jobs, show)
    verdict = judge(stage.props, jobs, seen)
    if as_json:
        print_json(for_machines(jobs, seen, verdict, url))
    else:
        console().print(*for_people(jobs, seen, verdict, url), sep="\n")
    ctx.exit(0 if verdict.ok else 1)
