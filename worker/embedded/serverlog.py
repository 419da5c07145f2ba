"""The server's log file, and the line of it that tells a person what is wrong."""

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
    """Open the log for appending and return its descriptor; one over 1 MB becomes `server.log.1`."""
    path = folder / LOG_NAME
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def read_from(folder: Path, offset: int) -> str:
    """Return what the log holds after `offset` bytes; nothing when there is no log."""
    try:
        with (folder / LOG_NAME).open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def last_meaningful_line(text: str) -> str:
    """Return the last line that says what went wrong, without its time stamp, at most 300 characters.

    A warning of the server (level `#`) or a line outside the server's format, such as an unreadable option,
    comes before plain notices. Empty when there is none.
    """
    warnings: list[str] = []
    notices: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        stamped = _STAMP.match(line)
        said = stamped["text"] if stamped else line
        if not _NOISE.search(said):
            (notices if stamped and stamped["level"] != "#" else warnings).append(said)
    return (warnings or notices or [""])[-1][:_MAX_LINE_CHARS]
