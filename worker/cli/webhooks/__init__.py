"""`callworker webhooks`: waiting deliveries by account and endpoint, and the secrets that sign them.

listing  `callworker webhooks list`
secrets  `callworker webhooks secrets`
rotate   `callworker webhooks rotate`
named    finds the endpoint that a person names
"""

from __future__ import annotations

import click

from worker.cli.output import example
from worker.cli.webhooks import listing, rotate, secrets


@click.group(epilog=example("callworker webhooks list", "callworker webhooks rotate orders"))
def command() -> None:
    """Show the webhook deliveries that wait for their next attempt. Show and rotate the secrets that sign them."""


command.add_command(listing.command)
command.add_command(secrets.command)
command.add_command(rotate.command)
