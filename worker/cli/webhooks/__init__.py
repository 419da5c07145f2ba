"""`callworker webhooks`: endpoints and their deliveries, the secrets that sign them, and events on trial.

listing     `callworker webhooks list`
show        `callworker webhooks show`
trial       `callworker webhooks test`
advice      what an attempt means, and what to do about it
switch      `callworker webhooks enable` and `disable`
replay      `callworker webhooks replay`
secrets     `callworker webhooks secrets`
rotate      `callworker webhooks rotate`
listen      `callworker webhooks listen`
forwarding  posts events to a receiver that is being worked on
named       finds the endpoint that a person names
opened      what the commands about one endpoint share
"""

from __future__ import annotations

import click

from worker.cli.output import example
from worker.cli.webhooks import listen, listing, replay, rotate, secrets, show, switch, trial


@click.group(epilog=example("callworker webhooks list", "callworker webhooks show orders"))
def command() -> None:
    """Show endpoints and what waits for them. Test, enable and disable them; send events again. Show and rotate the
    secrets that sign. Post events to a receiver that you work on.
    """


for subcommand in (
    listing.command,
    show.command,
    trial.command,
    switch.enable,
    switch.disable,
    replay.command,
    secrets.command,
    rotate.command,
    listen.command,
):
    command.add_command(subcommand)
