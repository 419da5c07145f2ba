"""Checks the provider and the metrics port over the network."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from worker.cli.doctor.finding import Finding
from worker.core.accounts import Account, Accounts
from worker.errors import AccountProblem, CallError, ConfigurationError, Misconfigured
from worker.provider import Codes, Connections, ProxStop
from worker.settings import Settings

CONNECT_SECONDS = 5.0
PORT_REMEDY = "set METRICS_PORT to another port from 1 to 65535"


def provider(settings: Settings) -> Iterator[Finding]:
    """Check that the provider can be reached, and by a balance call that it accepts each account's key."""
    address = urlsplit(settings.proxstop_url)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:
        text = f"{settings.proxstop_url} cannot be reached: {error}"
        yield Finding.fail("provider", text, "check PROXSTOP_URL, name resolution and the firewall")
        return
    yield Finding.ok("provider", f"{settings.proxstop_url} is reachable")
    try:
        client, accounts = _client(settings), Accounts.load(settings.accounts_file)
    except ConfigurationError:
        # The check of the files has reported this.
        return
    yield from (_balance(client, account) for account in accounts.values())


def _client(settings: Settings) -> ProxStop:
    return ProxStop(
        settings.proxstop_url,
        settings.proxstop_format,
        settings.proxstop_timeout,
        codes=Codes.load(settings.provider_errors_file),
        connections=Connections(ca_file=settings.proxstop_ca_file),
    )


def _balance(client: ProxStop, account: Account) -> Finding:
    name = f"balance of {account.name}"
    try:
        points = client.balance(account.api_key())
    except ConfigurationError as error:
        return Finding.warn(name, f"not asked: {error}", "set the key")
    except AccountProblem as error:
        return Finding.fail(
            name, str(error), f"check account {account.name} at the provider, or correct its key"
        )
    except Misconfigured as error:
        return Finding.fail(name, error.message, "check PROXSTOP_URL, PROXSTOP_CA_FILE and the certificates")
    except CallError as error:
        return Finding.warn(name, f"no answer: {error.message}", "try again; calls may work nevertheless")
    if points <= 0:
        return Finding.fail(name, "no points left", f"buy points for account {account.name}")
    return Finding.ok(name, f"{points} points left")


def metrics_port(settings: Settings) -> Iterator[Finding]:
    """Check that the metrics port is free, or served by a worker."""
    host, port = settings.metrics_host, settings.metrics_port
    if _worker_answers(host, port):
        yield Finding.ok("metrics port", f"a worker serves http://{host}:{port}/metrics")
        return
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
        yield Finding.ok("metrics port", f"{host}:{port} is free")
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        text = "is in use by another program" if used else f"cannot be listened on: {error.strerror or error}"
        yield Finding.fail("metrics port", f"{host}:{port} {text}", PORT_REMEDY)


def _worker_answers(host: str, port: int) -> bool:
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (looked up, not listened on)
    url = f"http://[{near}]:{port}/livez" if ":" in near else f"http://{near}:{port}/livez"
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=1.0) as answer:
            return "callworker" in answer.headers.get("Server", "")
    except OSError:
        return False
