"""TLS to Redis and brokers. The certificate's chain and name are verified unless an address says otherwise.

The options in an address have the names of redis-py's arguments, for every kind of server.
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
"""The values of `ssl_cert_reqs`. For a client, OpenSSL treats `optional` like `required`."""


def level(text: str) -> str:
    """Spell `ssl_cert_reqs` as redis-py does. kombu's CERT_REQUIRED is accepted too. Raises ValueError."""
    name = text.lower().removeprefix("cert_")
    if name not in LEVELS:
        raise ValueError(f"ssl_cert_reqs must be one of {', '.join(LEVELS)}")
    return name


def weakness(options: Mapping[str, Any]) -> str | None:
    """Say what `options` leave unverified. Returns None if chain and name are verified."""
    if options.get("ssl_cert_reqs", "required") == "none":
        return "the server's certificate is not verified (ssl_cert_reqs=none)"
    if options.get("ssl_check_hostname", True) is False:
        return "the name in the server's certificate is not verified (ssl_check_hostname=false)"
    return None


def context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Make a client's context. `ssl_ca_…` are trusted together with the system's store, or that of SSL_CERT_FILE.

    Raises ValueError for a file or value that cannot be used. It names the option and repeats no value.
    """
    made = ssl.create_default_context()
    made.check_hostname = weakness(options) is None
    if options.get("ssl_cert_reqs", "required") == "none":
        made.verify_mode = ssl.CERT_NONE
    _apply(made.load_verify_locations, options, "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data")
    # If a key has a password and none is given, OpenSSL would ask on the terminal and wait.
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
