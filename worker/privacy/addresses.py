"""Addresses of servers and the passwords in them, whatever signs these hold.

Libraries cut a URL at the first `/`, `#` or `?`, and people put such signs into passwords as they are. So everything up
to the last `@` counts as name and password here, and nothing is shown where that is not certain.

Known weakness: `http://user:80/x@host` is taken for a host `user`, its port and a path; and in running text a password
ends at a blank or a quote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

from worker.privacy.labelled import REDACTED

_ADDRESS = re.compile(r":\\?/\\?/(?P<rest>[^\s\"'<>]++)")
_NEXT_ADDRESS = re.compile(r";(?=[A-Za-z][A-Za-z0-9+.-]{0,20}://)")
_USER = re.compile(r"[^:/?#;@\[\]]*+")
_HOST_AND_PATH = re.compile(r"[^:/?#@]*+(?::[0-9]{1,5}+)?[/?#]")
_SECRET_NAME = r"(?:[A-Za-z_-]{0,40}[_-])?(?:password|passwd|pwd|token|key|apikey|secret|auth|sig|signature)"  # noqa: S105
_PARAMETER = re.compile(rf"([?&;]{_SECRET_NAME}=)[^&\s\"'<>]++", re.IGNORECASE)


def mask_addresses(text: str) -> str:
    """`text` with the passwords of all addresses in it hidden."""
    if "@" in text and "//" in text.replace("\\", ""):
        text = _ADDRESS.sub(_masked, text)
    return _PARAMETER.sub(r"\g<1>" + REDACTED, text) if "=" in text else text


def mask_url(url: str) -> str:
    """One address, or several with `;` between them, for people: without passwords; of a query only the names."""
    return ";".join(map(_masked_url, _NEXT_ADDRESS.split(url)))


def passwords(url: str) -> Iterator[str]:
    """Every password in an address, as written and as meant, in each way in which a library could read it."""
    for address in _NEXT_ADDRESS.split(url):
        rest = address.partition("://")[2]
        name = rest.rpartition("@")[0]
        written = [
            name.partition(":")[2],
            re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[0].partition(":")[2],
        ]
        written += [pair.partition("=")[2] for pair in re.split("[?&;]", rest) if _names_a_secret(pair)]
        for password in written:
            yield from (password, unquote(password), unquote_plus(password))


def _names_a_secret(pair: str) -> bool:
    return _PARAMETER.match(f"?{pair}") is not None


def _masked_url(url: str) -> str:
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return url
    path, mark, query = _without_password(rest, web=False).partition("?")
    return f"{scheme}://{path}{mark}{_names(query)}"


def _names(query: str) -> str:
    """The names in a query, up to one of a secret: what follows that may be a part of it."""
    shown = []
    for pair in filter(None, query.split("&")):
        name, equals, _ = pair.partition("=")
        shown.append(f"{name}={REDACTED}" if equals else REDACTED)
        if _names_a_secret(pair):
            break
    return "&".join(shown)


def _masked(address: re.Match[str]) -> str:
    """Of running text: of a query only what has a telling name is hidden, later."""
    rest, before = address["rest"], address.string[max(address.start() - 8, 0) : address.start()]
    web = before.lower().endswith(("http", "https"))
    parts = _NEXT_ADDRESS.split(rest)
    return address[0][: -len(rest)] + ";".join(
        [_without_password(parts[0], web=web), *map(_masked_url, parts[1:])]
    )


def _without_password(rest: str, *, web: bool) -> str:
    name, at, host = rest.rpartition("@")
    if not at or (web and _HOST_AND_PATH.match(name)):
        return rest
    if _HOST_AND_PATH.match(name) and "?" in name:
        return REDACTED
    user = _USER.match(name)
    shown = user[0] if user else ""
    if shown == name or ":" not in name:
        return rest
    return f"{shown if name[len(shown) :][:1] == ':' else ''}:{REDACTED}@{host}"
