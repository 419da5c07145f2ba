"""How a call is answered, chosen by the last four digits of its number.

Source: docs/reference/contract.md, "Sandbox provider".

``rung`` says whether a real provider would have rung the phone before the request ended this way, and
``answer`` is the name under which the request log files it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class GivesRef:
    """The call is placed: HTTP 200 and a ref, after ``wait_seconds``, one body byte per ``byte_seconds``."""

    rung: ClassVar[bool] = True
    wait_seconds: float = 0.0
    byte_seconds: float = 0.0
    unquoted: bool = False

    @property
    def answer(self) -> str:
        return "drip" if self.byte_seconds else "ref"


@dataclass(frozen=True, slots=True)
class Refuses:
    """The provider says no: HTTP 200 and a ``failed`` body with this code."""

    rung: ClassVar[bool] = False
    error_code: str

    @property
    def answer(self) -> str:
        return self.error_code


@dataclass(frozen=True, slots=True)
class HttpError:
    """An HTTP error status whose body is neither ``response`` nor ``failed``."""

    status: int
    rung: bool
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def answer(self) -> str:
        return str(self.status)


@dataclass(frozen=True, slots=True)
class Empty:
    """HTTP 200 without a body."""

    rung: ClassVar[bool] = True
    answer: ClassVar[str] = "empty"


@dataclass(frozen=True, slots=True)
class Silence:
    """The request is read and never answered."""

    rung: ClassVar[bool] = True
    answer: ClassVar[str] = "no answer"


@dataclass(frozen=True, slots=True)
class Disconnects:
    """The request is read whole, then the connection is reset."""

    rung: ClassVar[bool] = True
    answer: ClassVar[str] = "reset"


Behaviour = GivesRef | Refuses | HttpError | Empty | Silence | Disconnects

REF = GivesRef()
UNAVAILABLE = HttpError(503, rung=False)
TOO_MANY = HttpError(429, rung=False, headers=(("Retry-After", "2"),))

# The nth request for one number and code takes the nth entry of its row; the last entry repeats.
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
OTHERS: tuple[Behaviour, ...] = (REF,)


def behaviour_for(phone: str, turn: int) -> Behaviour:
    """The behaviour of the request number ``turn`` (from 0) for this phone and one code."""
    row = TABLE.get(phone[-4:], OTHERS)
    return row[min(turn, len(row) - 1)]
