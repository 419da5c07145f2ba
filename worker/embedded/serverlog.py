"""The server's log file, and its line that tells a person what is wrong."""

from __future__ import annotations

import os
import re
from pathlib import Path

LOG_NAME = "server.log"
_MAX_LOG_BYTES = 1_000_000
_MAX_LINE_CHARS = 300

_STAMP = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ (?P<level>[.\-*#]) (?P<text>.*)$")
_NOISE = re.compile(
    r"bye bye|oO0O|^WARNING|^Warning|just started$|^Configuration loaded|^Server initialized|^Removing the"
)


def open_log(folder: Path) -> int:
    """Open the log for appending, and return its descriptor. A log over 1 MB becomes `server.log.1` first."""
    path = folder / LOG_NAME
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def read_from(folder: Path, offset: int) -> str:
    """The content of the log after `offset` bytes. Empty if there is no log."""
    try:
        with (folder / LOG_NAME).open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def last_meaningful_line(text: str) -> str:
    """Find the last line that says what went wrong. Returns at most 300 characters of it, without the time stamp.

    A warning of the server (level `#`), or a line that is not in the server's format, such as an unreadable option,
    comes before plain notices. Empty if there is no such line.
    """
    warnings: list[str] = []
    notices: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        stamped = _STAMP.match(line)
        said = stamped["text"] if stamped else line
        if not _NOISE.search(said):
            (notices if stamped and stamped["level"] != "#" else warnings).append(said)
    return (warnings or notices or [""])[-1][:_MAX_LINE_CHARS]
