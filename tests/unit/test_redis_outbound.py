"""What is written into kombu's lists is what kombu would write."""

from __future__ import annotations

import json
from typing import Any

import kombu
from hypothesis import given
from hypothesis import strategies as st

from worker.broker.message import PERSISTENT, Message
from worker.broker.redis_outbound import envelope

texts = st.text(max_size=20)
names = st.sampled_from(("", "calls", "results", "call.placed"))
messages = st.builds(
    Message,
    st.binary(max_size=50),
    names,
    names,
    st.dictionaries(texts, st.one_of(st.none(), st.integers(), texts), max_size=3),
    st.dictionaries(st.sampled_from(("correlation_id", "reply_to")), texts),
)


def kombus(message: Message) -> Any:
    """Return a message as kombu's producer puts it into the list."""
    caught: list[Any] = []
    with kombu.Connection("memory://") as connection, connection.channel() as channel:
        channel._put = lambda _queue, raw, **_: caught.append(raw)
        channel.typeof = lambda _exchange: kombu.transport.virtual.exchange.DirectExchange(channel)
        channel._lookup = lambda *_: ["one"]
        kombu.Producer(channel).publish(
            message.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=PERSISTENT,
            headers=dict(message.headers),
            **message.properties,
        )
    (raw,) = caught
    return json.loads(json.dumps(raw))


@given(messages)
def test_envelope_is_kombus_own(message: Message) -> None:
    """All but the tag, which is each message's own, is the same."""
    expected = kombus(message)
    expected["properties"]["delivery_tag"] = "a tag"
    assert json.loads(envelope(message, "a tag")) == expected
