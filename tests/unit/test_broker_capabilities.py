"""Connections to AMQP brokers that know less than RabbitMQ."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from tests.doubles.scripted_amqp import amqp_broker
from worker.broker.connection import Link, connection_to

RABBIT = {"product": "RabbitMQ", "capabilities": {"connection.blocked": True, "consumer_cancel_notify": True}}


@pytest.mark.parametrize(
    "properties",
    [RABBIT, {"product": "Other"}, {"capabilities": {}}, {"capabilities": {"consumer_cancel_notify": True}}],
    ids=["all", "none told", "none", "some"],
)
def test_a_broker_is_reached_whatever_it_can_do(properties: dict[str, Any]) -> None:
    """Capabilities are an extension of RabbitMQ's: a broker that sends none is not "unreachable: 'capabilities'"."""
    with amqp_broker(properties) as url, closing(Link(url, [])) as link:
        assert link.confirms


def test_nothing_is_asked_before_each_message() -> None:
    """py-amqp reads from the socket before it publishes, where the broker could say that it takes none."""
    with amqp_broker(RABBIT) as url, closing(Link(url, [])) as link:
        agreed = link.connection.connection.client_properties["capabilities"]
        assert agreed == {"connection.blocked": False, "consumer_cancel_notify": True}


def test_only_a_connection_that_sends_heartbeats_promises_them() -> None:
    """RabbitMQ cut off a publisher that stood idle if the address asked for heartbeats, which only consumers send."""
    url = "amqp://one//?heartbeat=4;amqp://two//"
    assert not connection_to(url).heartbeat
    consuming = connection_to(url, heartbeat=10)
    assert consuming.heartbeat == 4
    consuming.switch(consuming.alt[1])
    assert (consuming.hostname, consuming.heartbeat) == ("two", 10)
