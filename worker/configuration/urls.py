"""Checks the HTTP addresses that an operator writes: the provider's and the webhooks'.

The rules keep secrets out of addresses that are shown, and refuse forms that libraries read in different ways. A
refusal never repeats the address.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_HOST_NAME = re.compile(r"(?!.{254})(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*"
                        r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?")  # fmt: skip
_PORT = re.compile(r"[0-9]{1,5}")
MAX_PORT = 65535


def http_url(text: str) -> str:
    """Check an http or https address without a secret in it, and return it. Raises ValueError with the cause."""
    if not text.isascii():
        raise ValueError(
            "holds characters outside ASCII; write a host's name in its xn-- form, and escape the rest with %"
        )
    if not all("!" <= sign <= "~" for sign in text):
        raise ValueError("holds a space or a control character")
    if "\\" in text:
        raise ValueError("holds a backslash")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    if "#" in rest:
        raise ValueError("holds a fragment (the part from #), which is never sent")
    _check_authority(re.split("[/?]", rest, maxsplit=1)[0])
    return text


def shown_origin(url: str) -> str:
    """Scheme, host and port of an `http_url`. The rest is left out, because it may hold tokens."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_plain_remote(url: str) -> bool:
    """Tell whether requests to an `http_url` leave this machine unencrypted."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _check_authority(authority: str) -> None:
    if "@" in authority:
        raise ValueError("holds a user name, password or token before @")
    host, port = _divided(authority)
    if not host:
        raise ValueError("has no host")
    if port is not None and not (_PORT.fullmatch(port) and 1 <= int(port) <= MAX_PORT):
        raise ValueError(f"has a port that is not a whole number from 1 to {MAX_PORT}")
    if not (_is_ipv6(host) if host.startswith("[") else _HOST_NAME.fullmatch(host)):
        raise ValueError("has a host that is neither a name nor an address")


def _divided(authority: str) -> tuple[str, str | None]:
    """Split into host and port. An IPv6 address keeps its brackets, and a port that is not there is None."""
    if authority.startswith("["):
        host, bracket, after = authority.partition("]")
        return host + bracket, after[1:] if after.startswith(":") else after or None
    host, colon, port = authority.partition(":")
    return host, port if colon else None


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return host.endswith("]")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
