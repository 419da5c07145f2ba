"""Addresses of servers with the passwords in them hidden, whatever signs these hold.

Libraries cut a URL at the first `/`, `#` or `?` and people put such signs into passwords unescaped. So everything up to
the last `@` counts as name and password here.

Known weakness: `http://user:80/x@host` is taken for a host `user`, its port and a path; and in running text a password
ends at a blank or a quote.
"""

from __future__ import annotations

import re

from worker.labelled import REDACTED

_ADDRESS = re.compile(r":\\?/\\?/(?P<rest>[^\s\"'<>]++)")
_USER = re.compile(r"[^:/?#;@\[\]]*+")
_HOST_AND_PATH = re.compile(r"[^:/?#@]*+(?::[0-9]{1,5}+)?[/?#]")
_PARAMETER = re.compile(
    r"([?&;](?:[a-z_-]{0,40}[_-])?(?:password|passwd|pwd|token|key|apikey|secret|auth|sig|signature)=)[^&\s\"'<>]++",
    re.IGNORECASE,
)


def mask_addresses(text: str) -> str:
    """`text` with the passwords of all addresses in it hidden."""
    if "@" in text and "//" in text.replace("\\", ""):
        text = _ADDRESS.sub(_masked, text)
    return _PARAMETER.sub(r"\g<1>" + REDACTED, text) if "=" in text else text


def mask_url(url: str) -> str:
    """One address, all of `url`, with its password hidden: for people, in place of the address itself."""
    scheme, slashes, rest = url.partition("://")
    shown = scheme + slashes + _without_password(rest, web=_is_web(scheme)) if slashes else url
    path, mark, query = shown.partition("?")
    return path + (mark + _PARAMETER.sub(r"\g<1>" + REDACTED, mark + query)[1:] if mark else "")


def _masked(address: re.Match[str]) -> str:
    rest, before = address["rest"], address.string[max(address.start() - 8, 0) : address.start()]
    return address[0][: -len(rest)] + _without_password(rest, web=_is_web(before))


def _is_web(scheme: str) -> bool:
    return scheme.lower().endswith(("http", "https"))


def _without_password(rest: str, *, web: bool) -> str:
    name, at, host = rest.rpartition("@")
    user = _USER.match(name)
    shown = user[0] if user else ""
    if not at or shown == name or (web and _HOST_AND_PATH.match(name)) or ":" not in name:
        return rest
    return f"{shown if name[len(shown) :][:1] == ':' else ''}:{REDACTED}@{host}"
