"""The webhooks' receivers: does the name have an address, does somebody listen, is the certificate a good one.

Nothing is sent to them: a receiver would take a request of any kind for an event, or count it as an attack.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from worker.accounts import Accounts
from worker.causes import Cause, cause_of
from worker.cli.doctor.finding import Finding
from worker.errors import ConfigurationError
from worker.settings import Settings
from worker.urls import shown_origin

CONNECT_SECONDS = 5.0
MAX_AT_ONCE = 16

_MENDS = {
    Cause.TLS: "correct the host in that url, or the receiver's certificate",
    Cause.NAME: "correct the host in that url, or the machine's name service",
}
_MEND = "start the receiver, or look at its address and at the firewall; meanwhile its deliveries wait"


def check(settings: Settings) -> Iterator[Finding]:
    """A finding for each place that webhooks go to."""
    try:
        accounts = Accounts.load(settings.accounts_file)
    except ConfigurationError:
        # Said already by the check of the files.
        return
    origins = dict.fromkeys(
        shown_origin(hook.url) for account in accounts.values() for hook in account.webhooks
    )
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        yield from pool.map(_probe, origins)


def _probe(origin: str) -> Finding:
    parts = urlsplit(origin)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS) as connection:
            if secure:
                _shake_hands(connection, host)
    except (OSError, UnicodeError) as problem:
        cause = cause_of(problem)
        text = f"{origin} cannot be reached: {problem if cause is Cause.OTHER else cause}"
        return Finding.fail("webhook", text, _MENDS.get(cause, _MEND))
    return Finding.ok("webhook", f"{origin} is reachable")


def _shake_hands(connection: socket.socket, host: str) -> None:
    with ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH).wrap_socket(
        connection, server_hostname=host
    ):
        return
