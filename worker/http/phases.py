"""How far one request has come: the fact that decides between "certainly not rung" and "perhaps rung".

The type of an exception cannot decide that: a silent TLS handshake and a lost answer both end in a read timeout, and a
reset looks the same before and after the request was read.
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
from worker.network.guard import Guard
from worker.network.proxy import Proxy

MAX_ANSWER_BYTES = 64 * 1024
"""The longest answer that is read, with its status line and headers. Its decoded body may have as many bytes again."""


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
    """The answer is longer than allowed."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer: the phase reached, and the bounds on time and size.

    `connect_seconds` bounds name resolution, connecting and TLS together. If `is_call`, the request is a phone call: it
    passes the failpoints, and `answer_seconds` bounds all that follows its `gate`. Any other request may have a gate
    too; `answer_seconds` then bounds the whole of it.

    `guard` says which addresses may be connected to; without one all may. `proxy`, if there is one, connects for us.

    `opened` is the moment from which `answer_seconds` count, `released` the moment when the gate opened, `closes` the
    latest moment for the first byte as the gate gave it, and `ends` the deadline of the current stage, connecting or
    answering; all on the monotonic clock.
    `status` is that of the answer, once its head has been read.
    `refusal` is the error because of which nothing may be written: what the gate raised, or SlotLapsed. `oddities` are
    those of the answer.
    """

    connect_seconds: float
    answer_seconds: float
    gate: Gate | None = None
    is_call: bool = False
    guard: Guard | None = None
    proxy: Proxy | None = None
    phase: Phase = Phase.STARTING
    refusal: Exception | None = None
    opened: float = 0.0
    released: float = 0.0
    closes: float = math.inf
    ends: float = 0.0
    room_bytes: int = MAX_ANSWER_BYTES
    status: int | None = None
    oddities: set[Oddity] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not self.is_call:
            self.opened = monotonic()

    @property
    def sent(self) -> bool:
        """Whether a byte of the request may have left this machine."""
        return self.phase >= Phase.FIRST_BYTE

    @property
    def seconds(self) -> float:
        """The time since `opened`; 0 for a call until its gate has opened."""
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
        self.released = monotonic()
        self.opened = self.released if self.is_call else self.opened
        self.closes = math.inf if closes is None else closes

    def check_delay(self, most_seconds: float) -> None:
        """Check that the gate opened at most `most_seconds` ago. Raises SlotLapsed if it was earlier."""
        if self.gate is not None and monotonic() - self.released > most_seconds:
            self.lapse("the connection was lost at the gate")

    def check_slot(self) -> None:
        """Check, right before the first byte, that the slot has not passed. Raises SlotLapsed if it has."""
        if monotonic() > self.closes:
            self.lapse("the slot went by between the gate and the first byte")

    def lapse(self, reason: str) -> None:
        """Raise SlotLapsed, and keep it as `refusal`."""
        self.refusal = SlotLapsed(reason)
        raise self.refusal

    def start_connecting(self) -> None:
        """Begin the stage of connecting. Once `answer_seconds` count, they bound it too."""
        if self.gate is not None:
            self.gate.connecting()
        self.ends = monotonic() + self.connect_seconds
        if self.opened:
            self.ends = min(self.ends, self.opened + self.answer_seconds)

    def start_sending(self) -> None:
        """Begin the stage of request and answer."""
        self.ends = self.opened + self.answer_seconds

    def remaining_seconds(self) -> float:
        """Return the time left in the current stage, more than 0. Raises TimeoutError if none is left."""
        remaining = self.ends - monotonic()
        if remaining <= 0:
            raise TimeoutError("deadline passed")
        return remaining

    def take(self, count: int) -> None:
        """Count bytes of the answer. Raises TooLarge if there are more than allowed."""
        self.room_bytes -= count
        if self.room_bytes < 0:
            raise TooLarge

    def pass_failpoint(self, point: str) -> None:
        """Pass a failpoint. The failpoints are places in a call, so another request passes none."""
        if self.is_call:
            hit(point)
