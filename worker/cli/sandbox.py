"""`callworker sandbox`: the stand-in provider, in the foreground."""

from __future__ import annotations

import threading

import click

from worker.cli.output import example, say


@click.command(
    epilog=example("callworker sandbox --port 8809", "PROXSTOP_URL=http://127.0.0.1:8809 callworker run")
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8809,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--key", "keys", multiple=True, help="Accept only this API key; repeat for several. [default: any key]"
)
def command(host: str, port: int, keys: tuple[str, ...]) -> None:
    """Serve the provider's three API calls until Ctrl-C. No real phone is called.

    The last four digits of a phone number choose how its call ends. GET /_requests lists the requests that were served.
    """
    from worker.sandbox import Sandbox

    with Sandbox(host, port, keys or None) as sandbox:
        say(f"sandbox: {sandbox.url}  (requests: {sandbox.url}/_requests)")
        threading.Event().wait()
