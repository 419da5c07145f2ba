"""Publisher confirms on AMQP: many messages are in flight, and a batch is done once the broker has taken each.

Source: RabbitMQ documentation, "Consumer Acknowledgements and Publisher Confirms".
"""

from __future__ import annotations

from typing import Any

from callworker.errors import BrokerRefused, BrokerUnavailable

NOT_TAKEN = "the broker did not take a message: its queue is full, or has no leader at the moment"


class Confirms:
    """Puts a channel of py-amqp into confirm mode and keeps track of what the broker has taken.

    The n-th message published on the channel has delivery tag n. Nothing else may publish on it.
    """

    def __init__(self, channel: Any, answer_seconds: float) -> None:
        self._channel, self._answer_seconds = channel, answer_seconds
        self._last_tag = 0
        self._open_tags: set[int] = set()
        self._refusal: BrokerUnavailable | None = None
        channel.events["basic_ack"].add(self._acknowledged)
        channel.events["basic_nack"].add(self._refused)
        channel.events["basic_return"].add(self._returned)
        channel.confirm_select()

    @property
    def complete(self) -> bool:
        """Whether the broker has taken every expected message."""
        return not self._open_tags

    def expect(self) -> None:
        """Expect a confirm for the next message that is published."""
        self._last_tag += 1
        self._open_tags.add(self._last_tag)

    def wait(self) -> None:
        """Return once the broker has taken every expected message.

        Raises BrokerUnavailable if it did not take one, BrokerRefused if it returned one, and OSError if nothing comes
        for `answer_seconds`.
        """
        while self._open_tags and self._refusal is None:
            self._channel.connection.drain_events(timeout=self._answer_seconds)
        if self._refusal is not None:
            raise self._refusal

    def _acknowledged(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._open_tags = {open_tag for open_tag in self._open_tags if open_tag > tag}
        else:
            self._open_tags.discard(tag)

    def _refused(self, *_: object) -> None:
        # RabbitMQ does not say why. Both reasons may be over soon.
        self._refusal = BrokerUnavailable(NOT_TAKEN)

    def _returned(self, _error: Exception, _exchange: str, routing_key: str, _message: object) -> None:
        self._refusal = BrokerRefused(f"the broker has no queue {routing_key!r}")
