"""Hides the passwords in the addresses of servers, whatever characters they contain.

Libraries cut a URL at the first `/`, `#` or `?`, but people put these characters into passwords unescaped. So all text
up to the last `@` counts as user and password here, and nothing is shown in doubtful cases.

Known weakness: `http://user:80/x@host` counts as a host `user` with a port and a path. In running text a password ends
at a space or a quote.
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
    """Hide the passwords of all addresses in `text`."""
    if "@" in text and "//" in text.replace("\\", ""):
        text = _ADDRESS.sub(_masked, text)
    return _PARAMETER.sub(r"\g<1>" + REDACTED, text) if "=" in text else text


def mask_url(url: str) -> str:
    """Show one address, or several separated by `;`, without passwords. Of a query only the names are shown."""
    return ";".join(map(_masked_url, _NEXT_ADDRESS.split(url)))


def passwords(url: str) -> Iterator[str]:
    """Yield every password in an address, as written and unquoted, for each way in which a library could read it."""
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
    """The names in a query, up to the first name of a secret: the rest may be a part of that secret."""
    shown = []
    for pair in filter(None, query.split("&")):
        name, equals, _ = pair.partition("=")
        shown.append(f"{name}={REDACTED}" if equals else REDACTED)
        if _names_a_secret(pair):
            break
    return "&".join(shown)


def _masked(address: re.Match[str]) -> str:
    """Hide the password of an address in running text. `mask_addresses` hides the secrets of a query later."""
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
