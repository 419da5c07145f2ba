"""`callworker webhooks`: waiting deliveries by account and endpoint, the secrets that sign them, and events on trial.

listing     `callworker webhooks list`
secrets     `callworker webhooks secrets`
rotate      `callworker webhooks rotate`
listen      `callworker webhooks listen`
forwarding  posts events to a receiver that is being worked on
named       finds the endpoint that a person names
"""

from __future__ import annotations

import click

from worker.cli.output import example
from worker.cli.webhooks import listen, listing, rotate, secrets


@click.group(epilog=example("callworker webhooks list", "callworker webhooks rotate orders"))
def command() -> None:
    """Show the webhook deliveries that wait for their next attempt. Show and rotate the secrets that sign them. Post
    events to a receiver that you work on.
    """


command.add_command(listing.command)
command.add_command(secrets.command)
command.add_command(rotate.command)
command.add_command(listen.command)
