"""TLS towards Redis and brokers: the certificate's chain and name are verified unless an address says otherwise.

What an address may say has the names of redis-py's arguments, for every kind of server.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any

OPTIONS = frozenset({
    "ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_ciphers",
    "ssl_keyfile", "ssl_min_version", "ssl_password",
})  # fmt: skip

LEVELS = ("required", "optional", "none")
"""Of `ssl_cert_reqs`. To a client OpenSSL's `optional` is the same as `required`."""


def level(text: str) -> str:
    """`ssl_cert_reqs` as redis-py spells it; kombu's CERT_REQUIRED is taken too. Raises ValueError."""
    name = text.lower().removeprefix("cert_")
    if name not in LEVELS:
        raise ValueError(f"ssl_cert_reqs is to be one of {', '.join(LEVELS)}")
    return name


def weakness(options: Mapping[str, Any]) -> str | None:
    """What `options` leave unverified, in words; None where chain and name are verified."""
    if options.get("ssl_cert_reqs", "required") == "none":
        return "the server's certificate is not verified (ssl_cert_reqs=none)"
    if options.get("ssl_check_hostname", True) is False:
        return "the name in the server's certificate is not verified (ssl_check_hostname=false)"
    return None


def context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """A client's context. `ssl_ca_…` are trusted beside the system's store, whose place SSL_CERT_FILE can name.

    Raises ValueError, which names the option and repeats no value, where a file or a value is of no use.
    """
    made = ssl.create_default_context()
    made.check_hostname = weakness(options) is None
    if options.get("ssl_cert_reqs", "required") == "none":
        made.verify_mode = ssl.CERT_NONE
    _apply(made.load_verify_locations, options, "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data")
    # Where a key has a password and none is given, OpenSSL would ask at the terminal, and wait.
    passwords = {"ssl_password": ""} if "ssl_certfile" in options else {}
    _apply(made.load_cert_chain, passwords | dict(options), "ssl_certfile", "ssl_keyfile", "ssl_password")
    _apply(lambda version: setattr(made, "minimum_version", version), options, "ssl_min_version")
    _apply(made.set_ciphers, options, "ssl_ciphers")
    return made


def _apply(use: Callable[..., object], options: Mapping[str, Any], *names: str) -> None:
    given = [name for name in names if name in options]
    if not given:
        return
    try:
        use(*(options.get(name) for name in names))
    except (OSError, ValueError, TypeError) as error:
        said = getattr(error, "strerror", None) or type(error).__name__
        raise ValueError(f"{', '.join(given)} cannot be used: {said}") from None
