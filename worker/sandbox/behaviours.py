"""The ways in which a call is answered, chosen by the last four digits of its number.

`rung` says whether a real provider would have rung the phone before the request ended in this way. `answer` is the name
of the behaviour in the request log. Source: docs/reference/contract.md, "Sandbox provider".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class GivesRef:
    """Places the call: HTTP 200 and a ref, after `wait_seconds`, with one byte of the body every `byte_seconds`."""

    rung: ClassVar[bool] = True
    wait_seconds: float = 0.0
    byte_seconds: float = 0.0
    unquoted: bool = False

    @property
    def answer(self) -> str:
        return "drip" if self.byte_seconds else "ref"


@dataclass(frozen=True, slots=True)
class Refuses:
    """Refuses the call: HTTP 200 and a `failed` body with this code."""

    rung: ClassVar[bool] = False
    error_code: str

    @property
    def answer(self) -> str:
        return self.error_code


@dataclass(frozen=True, slots=True)
class HttpError:
    """Answers with an HTTP error status. The body is neither `response` nor `failed`."""

    status: int
    rung: bool
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def answer(self) -> str:
        return str(self.status)


@dataclass(frozen=True, slots=True)
class Empty:
    """Answers with HTTP 200 and no body."""

    rung: ClassVar[bool] = True
    answer: ClassVar[str] = "empty"


@dataclass(frozen=True, slots=True)
class Silence:
    """Reads the request and never answers."""

    rung: ClassVar[bool] = True
    answer: ClassVar[str] = "no answer"


@dataclass(frozen=True, slots=True)
class Disconnects:
    """Reads the whole request, then resets the connection."""

    rung: ClassVar[bool] = True
    answer: ClassVar[str] = "reset"


Behaviour = GivesRef | Refuses | HttpError | Empty | Silence | Disconnects

REF = GivesRef()
UNAVAILABLE = HttpError(503, rung=False)
TOO_MANY = HttpError(429, rung=False, headers=(("Retry-After", "2"),))

TABLE: dict[str, tuple[Behaviour, ...]] = {
    "0001": (Refuses("INVALID_TELEPHONE"),),
    "0002": (UNAVAILABLE, UNAVAILABLE, REF),
    "0003": (Silence(),),
    "0004": (Disconnects(),),
    "0005": (Empty(),),
    "0006": (GivesRef(unquoted=True),),
    "0007": (TOO_MANY, REF),
    "0008": (Refuses("NO_POINTS"),),
    "0009": (HttpError(500, rung=True),),
    "0010": (GivesRef(wait_seconds=2.0),),
    "0011": (GivesRef(byte_seconds=1.0),),
    "0012": (Refuses("CARRIER_SUSPENDED"),),
    "0013": (UNAVAILABLE,),
}
"""Behaviours by last digits. The nth request for one number and code takes the nth entry; the last entry repeats."""
OTHERS: tuple[Behaviour, ...] = (REF,)


def behaviour_for(phone: str, turn: int) -> Behaviour:
    """The behaviour for request number `turn` (from 0) with this phone and one code."""
    row = TABLE.get(phone[-4:], OTHERS)
    return row[min(turn, len(row) - 1)]
