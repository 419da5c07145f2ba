"""Publisher confirms on AMQP of messages that go to exchanges."""

from __future__ import annotations

from callworker import confirms
from worker.errors import BrokerRefused


class Confirms(confirms.Confirms):
    """The client's confirms, for events: a queue that takes none is a refusal, at which the workers stop dialling.

    They also name the exchange of a message that was returned.
    """

    def _refused(self, *_: object) -> None:
        self._refusal = BrokerRefused("the broker refused a message")

    def _returned(self, _error: Exception, exchange: str, routing_key: str, _message: object) -> None:
        self._refusal = BrokerRefused(
            f"the broker has no queue for exchange {exchange!r} and routing key {routing_key!r}"
        )
