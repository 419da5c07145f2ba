"""The provider's error table: what each of its codes means for the worker."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from worker.configuration.textfiles import UnreadableFile, read_toml
from worker.errors import AccountProblem, CallError, ConfigurationError, Refused, Retry

CLASSES = ("refused", "account", "retry")
CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
MAX_CODE = 256
"""Characters. A longer text is not compared with the table."""

_SIGNS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Codes:
    """The error table. `classes` maps a provider code to one of `CLASSES`."""

    classes: Mapping[str, str]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the table `[codes]` of a TOML file. Raises ConfigurationError with a line for each fault."""
        try:
            table = read_toml(path)
        except UnreadableFile as error:
            raise ConfigurationError(f"PROVIDER_ERRORS_FILE: {path}: {error}") from error
        except ValueError as error:
            raise ConfigurationError(f"PROVIDER_ERRORS_FILE: {path}: not TOML: {error}") from error
        if faults := list(_faults(table)):
            raise ConfigurationError(*faults).under(f"PROVIDER_ERRORS_FILE: {path}: ")
        return cls(dict(table["codes"]))

    def lists(self, code: str) -> bool:
        """Tell whether the table has the code."""
        return code in self.classes

    def listed(self, code: str) -> str:
        """The code of the table that `code` means, spelled as `no points.` or `"No_Points"`; otherwise `code`."""
        if self.lists(code) or len(code) > MAX_CODE:
            return code
        plain = unicodedata.normalize("NFKC", html.unescape(code))
        spelled = _SIGNS.sub("_", plain).strip("_").upper()
        return spelled if self.lists(spelled) else code

    def error(self, code: str, message: str, retry_after_seconds: float | None = None) -> CallError:
        """The error for a well-formed `failed` answer, which says that the phone was not rung.

        A code that the table does not have is permanent, and is marked as not known.
        """
        kind = self.classes.get(code)
        if kind == "account":
            return AccountProblem(code, message)
        if kind == "retry":
            return Retry(f"{code}: {message}", sent=True, retry_after_seconds=retry_after_seconds)
        return Refused(code, message, known=kind is not None)


def _faults(table: dict[str, Any]) -> Iterator[str]:
    codes = table.get("codes")
    if set(table) != {"codes"} or not isinstance(codes, dict):
        yield "must hold one table, [codes], and nothing else"
        return
    for code, kind in codes.items():
        if not CODE.fullmatch(code):
            yield f"{code!r} must be 1 to 64 characters of A-Z 0-9 _, beginning with a letter"
        elif kind not in CLASSES:
            yield f"{code}: must be one of " + ", ".join(f'"{name}"' for name in CLASSES)
