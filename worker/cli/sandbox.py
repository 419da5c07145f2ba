"""`callworker sandbox`: the stand-in provider, in the foreground."""

from __future__ import annotations

import threading

import click

from worker.cli.output import example, say


@click.command(
    epilog=example("callworker sandbox --port 8809", "PROXSTOP_URL=http://127.0.0.1:8809 callworker run")
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8809, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--key", "keys", multiple=True, help="Accept this API key only; may be given several times.")
def command(host: str, port: int, keys: tuple[str, ...]) -> None:
    """Serve the provider's three calls until Ctrl-C.

    The last four digits of a number choose how its call ends; GET /_requests tells what was served.
    """
    from worker.sandbox import Sandbox

    with Sandbox(host, port, keys or None) as sandbox:
        say(f"sandbox: {sandbox.url}  (requests: {sandbox.url}/_requests)")
        threading.Event().wait()
