"""Reads a job's fields as people write them: languages in any case, time spans, numbers changed by a spreadsheet."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from worker.core.events import rfc3339
from worker.core.jobs import EXTENDED_LANGUAGES, LANGUAGES, Job
from worker.errors import InvalidJob

_NUMBERS = ("country", "phone", "code", "ext")
_DECIMAL = re.compile(r"[0-9]+[.,][0-9]*")
_ROUNDED = re.compile(r"[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+")
_REMEDY = "write it as text, with all its digits"
_SPAN = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LANGUAGES = {name.lower(): name for name in LANGUAGES + EXTENDED_LANGUAGES}


def parse_given(fields: Mapping[str, Any], *, extended: bool) -> Job:
    """Read a job. A span such as `10m` counts from now. Raises InvalidJob, which names damage by a spreadsheet."""
    try:
        return Job.parse({name: _meant(name, value) for name, value in fields.items()}, extended=extended)
    except InvalidJob as error:
        told = {name: _explained(name, fields.get(name), text) for name, text in error.fields.items()}
        raise InvalidJob(error.code, error.message, told) from None


def hidden(name: str) -> str:
    """Ask for a value without showing it, or read a line of standard input if that is not a terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    typed: str = click.prompt(name, hide_input=True, err=True)
    return typed.strip()


def _meant(name: str, value: Any) -> Any:
    if name == "message" and isinstance(value, str):
        return _LANGUAGES.get(value.strip().lower(), value)
    span = _SPAN.fullmatch(value.strip()) if name == "expires_at" and isinstance(value, str) else None
    if span is None:
        return value
    return rfc3339(int((time.time() + int(span[1]) * _SECONDS[span[2]]) * 1_000_000))


def _explained(name: str, value: Any, rule: str) -> str:
    """The rule, or how a spreadsheet or another program that reads digits as a number changed the field."""
    if name == "expires_at":
        return f"{rule}, or a span from now, such as 10m"
    if name not in _NUMBERS:
        return rule
    if _ROUNDED.fullmatch(str(value)):
        return f"is a number that a spreadsheet has rounded, such as 5.5E+09; {_REMEDY}"
    if _DECIMAL.fullmatch(str(value)):
        return f"is a number that a spreadsheet has changed, such as 1.0; {_REMEDY}"
    return rule
