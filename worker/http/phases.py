"""How far one request has come: the fact that tells "certainly not rung" from "perhaps rung".

The type of an exception cannot tell: a silent TLS handshake and a lost answer both end in a read timeout, and a reset
looks alike before and after the request was read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from http.client import HTTPException
from time import monotonic

from worker.core.ports import Gate
from worker.errors import SlotLapsed
from worker.failpoints import hit
from worker.http.oddities import Oddity

MAX_ANSWER_BYTES = 64 * 1024
"""The longest answer that is read, status line and headers included; its body may be as long again once decoded."""


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


class TooLarge(HTTPException):
    """The answer is longer than its bound."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer: the phase reached, and the bounds on time and size.

    `connect_seconds` bounds resolving, connecting and TLS together. `answer_seconds` bounds all that follows the gate;
    without a `gate` it bounds the whole request, names and connections included.

    `opened` is the moment from which `answer_seconds` count, `closes` the latest moment for the first byte, as the gate
    said, and `ends` the end of the stretch under way; all are moments of the monotonic clock. `refusal` is the reason
    for which nothing may be written: what the gate raised, or SlotLapsed. `oddities` are those of the answer.
    """

    connect_seconds: float
    answer_seconds: float
    gate: Gate | None = None
    phase: Phase = Phase.STARTING
    refusal: Exception | None = None
    opened: float = 0.0
    closes: float = math.inf
    ends: float = 0.0
    room_bytes: int = MAX_ANSWER_BYTES
    oddities: set[Oddity] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.gate is None:
            self.opened = monotonic()

    @property
    def sent(self) -> bool:
        """True once a byte of the request may have left this machine."""
        return self.phase >= Phase.FIRST_BYTE

    @property
    def seconds(self) -> float:
        """Time since `opened`; 0 while the gate has not opened."""
        return monotonic() - self.opened if self.opened else 0.0

    def pass_gate(self) -> None:
        """Ask the gate and note when it closes. Raises what the gate raises, and keeps it as `refusal`."""
        if self.gate is None:
            return
        try:
            closes = self.gate.opens()
        except Exception as error:
            self.refusal = error
            raise
        self.opened = monotonic()
        self.closes = math.inf if closes is None else closes

    def check_slot(self) -> None:
        """The last question before the first byte. Raises SlotLapsed once the gate has closed."""
        if monotonic() > self.closes:
            self.lapse("the slot went by between the gate and the first byte")

    def lapse(self, reason: str) -> None:
        """Raise SlotLapsed, and keep it as `refusal`."""
        self.refusal = SlotLapsed(reason)
        raise self.refusal

    def start_connecting(self) -> None:
        """Begin the stretch of a connection; behind the gate the answer's deadline bounds it as well."""
        if self.gate is not None:
            self.gate.connecting()
        self.ends = monotonic() + self.connect_seconds
        if self.opened:
            self.ends = min(self.ends, self.opened + self.answer_seconds)

    def start_sending(self) -> None:
        """Begin the stretch of request and answer."""
        self.ends = self.opened + self.answer_seconds

    def remaining_seconds(self) -> float:
        """What is left of the stretch under way, above zero. Raises TimeoutError when nothing is left."""
        remaining = self.ends - monotonic()
        if remaining <= 0:
            raise TimeoutError("deadline passed")
        return remaining

    def take(self, count: int) -> None:
        """Count bytes of the answer. Raises TooLarge over the bound."""
        self.room_bytes -= count
        if self.room_bytes < 0:
            raise TooLarge

    def reach(self, point: str) -> None:
        """Pass a failpoint. The failpoints are places in a call, so a request without a gate passes none."""
        if self.gate is not None:
            hit(point)
