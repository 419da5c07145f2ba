"""`callworker demo`: the whole path on this machine, checked from outside.

scenario     the jobs, and how each must end
props        the shipped accounts, made-up keys and secrets, ports
stage        the embedded server, the sandbox, the webhook receiver and the worker
process      the worker, a real `callworker run`
tied         ends the worker together with the demo
receiver     the webhook receiver
performance  sends the jobs and watches the outcome
display      progress while it runs
verdict      compares the outcome with the plan
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
    """Send jobs through a real worker and check the outcome. Takes less than a minute and stays on this machine.

    Starts an embedded server, the sandbox provider, a webhook receiver and a worker. Sends jobs of three accounts that
    end in every possible way, and compares each outcome with the expected one. The exit status is 0 only if all is
    right.
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
