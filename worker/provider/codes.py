"""The provider's error table: what each of its codes means for the worker."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from worker.errors import AccountProblem, CallError, ConfigurationError, Refused, Retry

CLASSES = ("refused", "account", "retry")
CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Codes:
    """`classes` maps a provider code to one of `CLASSES`."""

    classes: Mapping[str, str]

    @classmethod
    def load(cls, path: Path) -> Self:
        """The table in a TOML file, under `[codes]`. Raises ConfigurationError: one line that names the file."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as problem:
            reason = problem.strerror or type(problem).__name__
            raise ConfigurationError(f"PROVIDER_ERRORS_FILE: {path}: {reason}") from problem
        except ValueError as problem:
            raise ConfigurationError(f"PROVIDER_ERRORS_FILE: {path}: not TOML: {_line(problem)}") from problem
        if fault := _fault(table):
            raise ConfigurationError(f"PROVIDER_ERRORS_FILE: {path}: {fault}")
        return cls(dict(table["codes"]))

    def lists(self, code: str) -> bool:
        """True for a code that the table classes."""
        return code in self.classes

    def error(self, code: str, message: str, retry_after_seconds: float | None = None) -> CallError:
        """What happens next after a well-formed `failed` answer: the phone was not rung.

        A code that the table does not list is permanent, and marked as not known.
        """
        kind = self.classes.get(code)
        if kind == "account":
            return AccountProblem(code, message)
        if kind == "retry":
            return Retry(f"{code}: {message}", sent=True, retry_after_seconds=retry_after_seconds)
        return Refused(code, message, known=kind is not None)


def _fault(table: dict[str, Any]) -> str | None:
    codes = table.get("codes")
    if set(table) != {"codes"} or not isinstance(codes, dict):
        return "must hold one table, [codes], and nothing else"
    for code, kind in codes.items():
        if not CODE.fullmatch(code):
            return f"{code!r} must be 1 to 64 characters of A-Z 0-9 _, beginning with a letter"
        if kind not in CLASSES:
            return f"{code}: must be one of " + ", ".join(f'"{name}"' for name in CLASSES)
    return None


def _line(problem: Exception) -> str:
    return " ".join(str(problem).split())
