"""The kinds of value that a setting may have, each with its rule.

A rule raises ValueError with the fault and, behind "; ", what is allowed.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

from worker.configuration import waits

MAX_SECONDS = 3600


def whole(least: int, most: int) -> BeforeValidator:
    """Return the rule of a whole number, from `least` to `most`."""
    rule = f"allowed is a whole number from {least} to {most}"

    def check(value: object) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", str(value)):
            raise ValueError(f"is not a whole number; {rule}")
        if not least <= int(str(value)) <= most:
            raise ValueError(f"is out of range; {rule}")
        return int(str(value))

    return BeforeValidator(check)


def _operator(name: str) -> str:
    if not (name.isprintable() and len(name) <= 64):
        raise ValueError("is not a name of a person; allowed is 1 to 64 printable characters")
    return name


def _shards(value: object) -> int:
    if str(value) not in ("16", "64"):
        raise ValueError("is not a number of shards; allowed is 16 or 64")
    return int(str(value))


def _seconds(value: object) -> float:
    rule = f"allowed is a number of seconds above 0, at most {MAX_SECONDS}"
    try:
        seconds = float(str(value))
    except ValueError:
        raise ValueError(f"is not a number; {rule}") from None
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"is out of range; {rule}")
    return seconds


def _one_of(*allowed: str) -> BeforeValidator:
    def check(value: object) -> str:
        for name in allowed:
            if str(value).lower() == name.lower():
                return name
        raise ValueError(f"is not a known value; allowed is {', '.join(allowed)}")

    return BeforeValidator(check)


def _schedule(text: str) -> str:
    waits.waits(text)
    return text


Shards = Annotated[int, BeforeValidator(_shards)]
Port = Annotated[int, whole(1, 65535)]
Count = Annotated[int, whole(1, 10_000)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
Switch = Annotated[Literal["on", "off"], _one_of("on", "off")]
AnswerFormat = Annotated[Literal["json", "xml"], _one_of("json", "xml")]
QueueType = Annotated[Literal["quorum", "classic"], _one_of("quorum", "classic")]
TracingMode = Annotated[Literal["off", "parent", "links"], _one_of("off", "parent", "links")]
LogFormat = Annotated[Literal["json", "console"], _one_of("json", "console")]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], _one_of("DEBUG", "INFO", "WARNING", "ERROR")
]
Operator = Annotated[str, AfterValidator(_operator)]
Schedule = Annotated[str, AfterValidator(_schedule)]
