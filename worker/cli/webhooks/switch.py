"""`callworker webhooks enable` and `disable`."""

from __future__ import annotations

import click

from worker.cli.audited import why_option
from worker.cli.output import example, say
from worker.cli.webhooks.named import account_option
from worker.cli.webhooks.opened import opened
from worker.cli.webhooks.show import REASONS
from worker.state.endpoints import RedisEndpoints


@click.command("enable", epilog=example("callworker webhooks enable orders --why 'their server is back'"))
@click.argument("endpoint")
@account_option
@why_option
def enable(endpoint: str, account: str | None, why: str) -> None:
    """Deliver to an endpoint again: end its being disabled or paused, and forget its failures. What waits goes now.

    ENDPOINT is a name or hash that `callworker webhooks list` shows, or ACCOUNT/NAME.
    """
    with opened(endpoint, account, why) as found:
        found.note("enable")
        was = RedisEndpoints(found.client).enable(found.destination)
        found.warn_if_gone()
    ended = f"was disabled ({_reason(was)}) and is enabled" if was else "was not disabled"
    say(f"{found.name} {ended}; its failures are forgotten, and what waits for it goes now")


@click.command("disable", epilog=example("callworker webhooks disable orders --why 'their server moves'"))
@click.argument("endpoint")
@account_option
@why_option
def disable(endpoint: str, account: str | None, why: str) -> None:
    """Deliver nothing to an endpoint until `enable`. What waits, and what comes meanwhile, is kept for seven days.

    The results queue gets the event `endpoint.disabled`. ENDPOINT is a name or hash that `callworker webhooks list`
    shows, or ACCOUNT/NAME.
    """
    with opened(endpoint, account, why) as found:
        found.note("disable")
        was = RedisEndpoints(found.client).disable(found.destination)
    say(f"{found.name} {f'was disabled already ({_reason(was)})' if was else 'is disabled'}")


def _reason(word: str) -> str:
    return REASONS.get(word, word)
