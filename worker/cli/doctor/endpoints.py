"""Checks the receivers of webhooks: the name has an allowed address, the port is open, the certificate is valid.

Nothing is sent to them: a receiver could take any request for an event, or count it as an attack.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from worker.cli.doctor.finding import Finding
from worker.configuration.urls import shown_origin
from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.errors import ConfigurationError
from worker.http.client import Client
from worker.http.faults import FAULTS
from worker.http.phases import Exchange
from worker.http.request import prepared
from worker.http.tunnel import ProxyFault
from worker.network import trust
from worker.network.causes import Cause, cause_of
from worker.network.guard import Guard, GuardRefused
from worker.network.proxy import Proxy
from worker.settings import Settings

CONNECT_SECONDS = 5.0
MAX_AT_ONCE = 16

_REMEDIES = {
    Cause.TLS: "correct the host in that url or the receiver's certificate, or name a private authority as its ca_file",
    Cause.NAME: "correct the host in that url, or the machine's name resolution",
}
_OTHER_REMEDY = "start the receiver, or check its address and the firewall; meanwhile its deliveries wait"


def check(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each server that receives webhooks. Those whose scheme or port is not allowed are left out,
    because the check of the files has reported them.
    """
    try:
        accounts = Accounts.load(settings.accounts_file)
    except ConfigurationError:
        # The check of the files has reported this.
        return
    hooks = [hook for account in accounts.values() for hook in account.webhooks]
    places = dict.fromkeys(
        (shown_origin(hook.url), hook.ca_file, Guard.of(hook)) for hook in hooks if _may(hook)
    )
    proxy = None if settings.webhook_proxy is None else Proxy.of(settings.webhook_proxy)
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        yield from pool.map(lambda place: _probe(proxy, *place), places)


def _may(hook: Endpoint) -> bool:
    try:
        Guard.of(hook).check_url(hook.url)
    except GuardRefused:
        return False
    return True


def _probe(proxy: Proxy | None, origin: str, ca_file: Path | None, guard: Guard) -> Finding:
    try:
        url, tls = str(prepared(origin, {}).url), partial(trust.context, ca_file, "ca_file")
        exchange = Exchange(CONNECT_SECONDS, CONNECT_SECONDS, guard=guard, proxy=proxy)
        Client(url, kept=0, tls=tls).reach(exchange)
    except ConfigurationError as error:
        return Finding.fail("webhook", f"{origin} cannot be checked: {error}", "correct that file")
    except GuardRefused as refused:
        text = f"nothing is sent to {origin}, because its address is not allowed: {refused.rule}"
        return Finding.fail("webhook", text, refused.rule.remedy)
    except ProxyFault as fault:
        text = f"{origin} cannot be reached through the proxy: {fault.problem}"
        return Finding.fail("webhook", text, "check WEBHOOK_PROXY, and what that proxy allows")
    except FAULTS as error:
        cause = cause_of(error)
        text = f"{origin} cannot be reached: {error if cause is Cause.OTHER else cause}"
        return Finding.fail("webhook", text, _REMEDIES.get(cause, _OTHER_REMEDY))
    return Finding.ok("webhook", f"{origin} is reachable")
