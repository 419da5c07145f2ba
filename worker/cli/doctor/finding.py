"""The outcome of one check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Grade(StrEnum):
    """The grade of a finding: OK, WARN (it works, but may cause trouble later) or FAIL (it does not work)."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: the subject, the grade, what was found, and what to do about it."""

    name: str
    grade: Grade
    text: str
    remedy: str = ""

    @classmethod
    def ok(cls, name: str, text: str) -> Finding:
        return cls(name, Grade.OK, text)

    @classmethod
    def warn(cls, name: str, text: str, remedy: str) -> Finding:
        return cls(name, Grade.WARN, text, remedy)

    @classmethod
    def fail(cls, name: str, text: str, remedy: str) -> Finding:
        return cls(name, Grade.FAIL, text, remedy)

    def as_dict(self) -> dict[str, Any]:
        return {"check": self.name, "grade": self.grade, "found": self.text, "remedy": self.remedy}
