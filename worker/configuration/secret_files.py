"""Files of webhook secrets: one secret a line, with an optional end.

    # Subscriber: Acme, hooks@acme.example
    whsec_…
    whsec_… until 2026-12-01T09:00:00Z   # replaced on 30 November

Everything from `#` to the end of a line is a comment. A refusal names the line and never repeats it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from worker.configuration.credentials import NotACredential
from worker.configuration.signing_secrets import (
    SigningSecret,
    Version,
    moment,
    signing_secret,
    written_moment,
)
from worker.configuration.textfiles import UnreadableFile, read_text

MAX_SECRETS = 16
"""In one file. Every one of them that signs makes the header of each request longer."""

_ENTRY = re.compile(r"(?P<secret>\S+)(?:\s+until\s+(?P<until>\S+))?")
_LINE_END = re.compile(r"(?<=\n)")


class WrongSecretFile(ValueError):
    """The file cannot be used. `causes` holds what to say after its name, one for each wrong line."""

    def __init__(self, *causes: str) -> None:
        super().__init__("; ".join(causes))
        self.causes = causes


class RotationRefused(ValueError):
    """Two secrets sign already; the message says until when."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with its line break, and the secret in it, if there is one."""

    text: str
    secret: SigningSecret | None


def read(path: Path) -> tuple[SigningSecret, ...]:
    """All secrets of a file, those that no longer sign too. Raises WrongSecretFile."""
    try:
        return parse(read_text(path))
    except UnreadableFile as error:
        raise WrongSecretFile(str(error)) from None


def parse(text: str) -> tuple[SigningSecret, ...]:
    """All secrets in the text of a file. Raises WrongSecretFile, also if there is none."""
    found = tuple(line.secret for line in _lines(text) if line.secret is not None)
    if not found:
        raise WrongSecretFile("holds no secret")
    return found


def rotated(text: str, new: str, now: datetime, until: datetime) -> str:
    """The text with secret `new` in front of the one of its version, which signs until `until`, or its earlier end.

    Drops every secret that signs no longer at `now`, and keeps comments on lines of their own. Raises WrongSecretFile
    for a text with a wrong line, RotationRefused if more than one secret of that version signs.
    """
    lines = [line for line in _lines(text) if _is_kept(line, now)]
    version = signing_secret(new, "").version
    old = _signing(lines, version)
    if old is None:
        return _joined([*lines, _Line(new, None)])
    place, secret = old
    return _joined(
        [*lines[:place], _Line(new, None), _ended(lines[place], secret, until), *lines[place + 1 :]]
    )


def _lines(text: str) -> list[_Line]:
    rows = [row for row in _LINE_END.split(text) if row]
    lines, causes = list[_Line](), list[str]()
    for number, row in enumerate(rows, 1):
        try:
            lines.append(_Line(row, _secret(row, f"line {number}")))
        except NotACredential as error:
            causes.append(f"line {number} {error}")
    _check(causes, [line.secret for line in lines if line.secret is not None])
    return lines


def _check(causes: list[str], found: list[SigningSecret]) -> None:
    seen = dict[tuple[Version, bytes], str]()
    for secret in found:
        first = seen.setdefault((secret.version, secret.key), secret.source)
        if first is not secret.source:
            causes.append(f"{secret.source} repeats the secret of {first}")
    if len(found) > MAX_SECRETS:
        causes.append(f"holds {len(found)} secrets; allowed are {MAX_SECRETS}")
    if causes:
        raise WrongSecretFile(*causes)


def _secret(row: str, source: str) -> SigningSecret | None:
    content = row.split("#", 1)[0].strip()
    if not content:
        return None
    entry = _ENTRY.fullmatch(content)
    if entry is None:
        raise NotACredential("holds more than one secret and `until` with a time")
    until = entry["until"]
    return signing_secret(entry["secret"], source, None if until is None else moment(until))


def _is_kept(line: _Line, now: datetime) -> bool:
    return line.secret is None or line.secret.signs_at(now.timestamp())


def _signing(lines: list[_Line], version: Version) -> tuple[int, SigningSecret] | None:
    """The one secret of that version and its place, None if there is none. Raises RotationRefused."""
    secrets = [(place, line.secret) for place, line in enumerate(lines) if line.secret is not None]
    found = [(place, secret) for place, secret in secrets if secret.version is version]
    if len(found) > 1:
        ends = [secret.until for _, secret in found if secret.until is not None]
        raise RotationRefused(under_way(min(ends, default=None)))
    return next(iter(found), None)


def under_way(until: datetime | None) -> str:
    """The line that refuses a rotation while another one is under way."""
    if until is None:
        return "two secrets sign already: remove the old one before you rotate again"
    return f"a rotation is under way: two secrets sign until {written_moment(until)}; rotate again after that"


def _ended(line: _Line, secret: SigningSecret, until: datetime) -> _Line:
    """The line of `secret` with `until`, or with its own end if that is earlier."""
    if secret.until is not None and secret.until <= until:
        return line
    comment = line.text.rstrip("\r\n").partition("#")[1:]
    told = f"   {''.join(comment)}" if comment[0] else ""
    text = f"{secret.written} until {written_moment(until)}{told}"
    return replace(line, text=text)


def _joined(lines: list[_Line]) -> str:
    return "".join(line.text.rstrip("\r\n") + "\n" for line in lines)
