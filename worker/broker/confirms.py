"""Publisher confirms on AMQP of messages that go to exchanges."""

from __future__ import annotations

from callworker import confirms


class Confirms(confirms.Confirms):
    """The client's confirms, which also name the exchange of a message that was returned."""

    def _returned(self, _error: Exception, exchange: str, routing_key: str, _message: object) -> None:
        self._refusal = f"the broker has no queue for exchange {exchange!r} and routing key {routing_key!r}"
