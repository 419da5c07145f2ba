"""How far one request has come: the fact that tells "certainly not rung" from "perhaps rung".

The exception's type cannot tell: a silent TLS handshake and a lost answer both end in a read timeout, and a reset
looks alike before and after the request was read.
"""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum
from time import monotonic

from worker.core.ports import Gate
from worker.errors import SlotLapsed
from worker.http.oddities import Oddity

ANSWER_BYTES = 64 * 1024
"""The most that an answer may measure, status line and headers included, and its body again once decoded."""


class Phase(IntEnum):
    """The point that a request has reached. From FIRST_BYTE on the phone may ring."""

    STARTING = 0
    RESOLVING = 1
    CONNECTING = 2
    TLS = 3
    READY = 4
    FIRST_BYTE = 5
    WRITTEN = 6
    STATUS_READ = 7
    BODY_READ = 8


class NothingSent(Exception):
    """The connection was lost before it took the first byte. Not an OSError: urllib3 swallows some of those."""


class TooLarge(Exception):
    """The answer is longer than `ANSWER_BYTES`."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer: the phase reached, and the bounds on time and size.

    `connect_seconds` bounds resolving, connecting and TLS together, `answer_seconds` everything after the gate.
    On the monotonic clock, `opened` is when the gate opened and `ends` when the present stretch runs out.
    `closes` is the latest moment for the first byte, as the gate said.
    `oddities` are those of the answer. `refusal` is why nothing may be written: what the gate raised, or SlotLapsed.
    """

    gate: Gate
    connect_seconds: float
    answer_seconds: float
    phase: Phase = Phase.STARTING
    refusal: Exception | None = None
    opened: float = 0.0
    closes: float = math.inf
    ends: float = 0.0
    room_bytes: int = ANSWER_BYTES
    oddities: set[Oddity] = field(default_factory=set)

    @property
    def sent(self) -> bool:
        """True once a byte of the request may have left this machine."""
        return self.phase >= Phase.FIRST_BYTE

    @property
    def seconds(self) -> float:
        """Time since the gate opened; 0 if it never did."""
        return monotonic() - self.opened if self.opened else 0.0

    def gate_opens(self) -> bool:
        """Call the gate and note when it closes; False, with its exception as `refusal`, when it raises."""
        try:
            closes = self.gate.opens()
        except Exception as error:
            self.refusal = error
            return False
        self.opened = monotonic()
        self.closes = math.inf if closes is None else closes
        return True

    def lapsed(self) -> bool:
        """True, with SlotLapsed as `refusal`, once the gate has closed: asked last before the first byte."""
        if monotonic() <= self.closes:
            return False
        self.refusal = SlotLapsed("the slot went by between the gate and the first byte")
        return True

    def start_connecting(self) -> None:
        """Behind the gate, when a lost connection is replaced, the answer's deadline holds as well."""
        self.gate.connecting()
        self.ends = monotonic() + self.connect_seconds
        if self.opened:
            self.ends = min(self.ends, self.opened + self.answer_seconds)

    def start_sending(self) -> None:
        self.ends = self.opened + self.answer_seconds

    def remaining_seconds(self) -> float:
        """What is left of the present stretch, above zero. Raises TimeoutError when nothing is."""
        remaining = self.ends - monotonic()
        if remaining <= 0:
            raise TimeoutError("deadline passed")
        return remaining

    def take(self, count: int) -> None:
        """Count bytes of the answer. Raises TooLarge over the cap."""
        self.room_bytes -= count
        if self.room_bytes < 0:
            raise TooLarge


_under_way: ContextVar[Exchange] = ContextVar("exchange")


class under_way:  # noqa: N801 (used as a function)
    """Within it, `exchange` is the one that this call's connection works on.

    A context variable, of which each thread and each greenlet has its own, because requests and urllib3 carry nothing
    of ours down to the connection.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        self._before = _under_way.set(self._exchange)

    def __exit__(self, *_: object) -> None:
        _under_way.reset(self._before)


def current() -> Exchange:
    """The exchange under way in this thread or greenlet."""
    return _under_way.get()
