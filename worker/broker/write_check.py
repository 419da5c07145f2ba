"""Finds out whether RabbitMQ takes messages, by a message to no queue.

RabbitMQ accepts connections while it is short of memory or disk space, and answers their questions. It stops reading a
connection once that connection publishes, and says so in `connection.blocked`.

Source: RabbitMQ documentation, "Blocked Connection Notifications".
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import amqp
from amqp import spec

from worker.broker.amqp_frames import Frames, Signature
from worker.broker.confirms import Confirms
from worker.broker.connection import Link, Timeouts, broker_errors
from worker.core.figures import BrokerFacts
from worker.core.judging import MAX_MESSAGE_BYTES
from worker.errors import BrokerBlocked, BrokerRefused, BrokerUnavailable

NOWHERE = "callworker.write-check"
"""A routing key of the default exchange without a queue: RabbitMQ confirms such a message and drops it."""

TIMEOUTS = Timeouts(connect_seconds=1.0, answer_seconds=1.0)
_METHOD_BYTES = 4


class WriteCheck:
    """Sends an empty message over a connection of its own, and waits for the confirm. For one thread, on AMQP only.

    Known weakness: a user who may not write to the default exchange learns nothing; such a broker counts as well.
    """

    def __init__(self, url: str, timeouts: Timeouts = TIMEOUTS) -> None:
        self._url, self._timeouts = url, timeouts
        self._session: _Session | None = None

    def ask(self) -> BrokerFacts:
        """Return what the broker did with the message. Does not raise: `problem` says why it did not take it."""
        try:
            blocked = self._asked()
            return BrokerFacts(blocked, full=blocked is not None)
        except BrokerRefused:
            self.close()
            return BrokerFacts()
        except BrokerUnavailable as error:
            self.close()
            return BrokerFacts(error)

    def close(self) -> None:
        """Drop the connection; a later `ask` makes a new one."""
        session, self._session = self._session, None
        if session is not None:
            session.link.abandon()

    def _asked(self) -> BrokerBlocked | None:
        with broker_errors("the broker does not confirm a message"):
            if self._session is None:
                self._session = _Session(self._url, self._timeouts)
                # RabbitMQ takes the first message that a connection publishes, and only then blocks it.
                self._session.send()
            reason = self._session.send()
        return None if reason is None else BrokerBlocked(f"the broker takes no messages: {reason}")


class _Session:
    """The objects that live as long as one connection."""

    def __init__(self, url: str, timeouts: Timeouts) -> None:
        self._blocked: str | None = None
        self._answer_seconds = timeouts.answer_seconds
        # py-amqp tells the broker that it wants to hear it only with a function to be called.
        heard = {"on_blocked": lambda _reason: None}
        self.link = Link(url, [], timeouts=timeouts, transport_options=heard)
        try:
            wire = self.link.connection.connection
            wire.on_inbound_frame = Frames(wire, self._hear, MAX_MESSAGE_BYTES)
            self._dispatch = wire.on_inbound_method
            self._confirms = Confirms(self.link.channel, timeouts.answer_seconds)
        except BaseException:
            self.link.abandon()
            raise

    def send(self) -> str | None:
        """Send a message, unless one is on its way, and return None once it is confirmed.

        While the broker is blocked, send none, wait for its end for as long as for a confirm, and return the reason.

        Raises what the broker's library raises, OSError if the broker says nothing in time.
        """
        if self._confirms.complete and self._blocked is None:
            self._confirms.expect()
            self.link.channel.basic_publish(amqp.Message(""), routing_key=NOWHERE)
        ends = time.monotonic() + self._answer_seconds
        while self._blocked is not None or not self._confirms.complete:
            try:
                self.link.connection.drain_events(timeout=max(ends - time.monotonic(), 0.001))
            except TimeoutError:
                if self._blocked is None:
                    raise
                return self._blocked
        return None

    def _hear(self, channel: int, signature: Signature, arguments: bytes, content: Any) -> object:
        """Keep why the connection is blocked, which py-amqp drops, and pass on everything else."""
        if signature == spec.Connection.Blocked:
            self._blocked = _short_text(arguments[_METHOD_BYTES:]) or "no reason given"
        elif signature == spec.Connection.Unblocked:
            self._blocked = None
        else:
            return self._dispatch(channel, signature, arguments, content)
        return None


def _short_text(field: bytes) -> str:
    """Decode a short string of AMQP: a byte with its length, and its text."""
    with suppress(IndexError):
        return bytes(field[1 : 1 + field[0]]).decode(errors="replace")
    return ""
