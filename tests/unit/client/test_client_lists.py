"""Queues of events in Redis, in the forms that kombu and workers use."""

from __future__ import annotations

import json

import pytest
from kombu.transport.virtual.exchange import TopicExchange

from callworker.reading.lists import DurableList, OwnList
from callworker.reading.names import matches
from worker.broker.message import Message
from worker.broker.queues import is_listener
from worker.broker.redis_outbound import envelope

PATTERNS = ("call.*", "call.placed", "job.not_canceled", "#", "call.#", "*.*", "a-b.*")
TYPES = ("call.placed", "call.failed", "job.not_canceled", "call", "a-b.c", "callxplaced", "call.a.b")


class Bound:
    """A pipeline that keeps what is bound."""

    def __init__(self) -> None:
        self.members: set[str] = set()

    def srem(self, _: str, *members: str) -> None:
        self.members |= set(members)

    def delete(self, _: str) -> None: ...


@pytest.mark.parametrize("pattern", PATTERNS)
def test_binding_is_kombus_own(pattern: str) -> None:
    """What the client stores is what kombu would, so that workers route by it, and a reader can be unbound by kombu."""
    queue, bound = OwnList([pattern]), Bound()
    queue.leave(bound)
    kombus = TopicExchange(None).prepare_bind(queue.name, "results", pattern, {})
    assert bound.members == {"\x06\x16".join(kombus)}
    assert is_listener(queue.name)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_fake_routes_as_kombu(pattern: str) -> None:
    """A pattern means the same in the fake client and on a broker. RabbitMQ's `call.#` also takes `call`."""
    regex = TopicExchange(None).key_to_pattern(pattern)
    for kind in TYPES:
        if (pattern, kind) != ("call.#", "call"):
            assert matches(pattern, kind) == bool(TopicExchange(None)._match(regex, kind)), kind
    assert matches("call.#", "call")


@pytest.mark.parametrize("body", [b'{"note":"Gr\xc3\xbc\xc3\x9fe"}', b"", b"\xff"])
def test_body_is_read_byte_for_byte(body: bytes) -> None:
    """Workers' own messages, those of kombu with a plain body, and anything else."""
    queue = OwnList(["#"])
    packed = envelope(Message(body, "call.placed", "results"), "tag").encode()
    plain = json.dumps({"body": "{}", "properties": {}})
    assert queue.found([b"no message", plain, packed]) == [body, b"{}", b"no message"]
    assert queue.found(None) is None


def test_event_whose_reply_was_lost_is_given_back() -> None:
    """Only an event that the program has got can be done: after an error the reader asks for the same one again."""
    queue = DurableList("results.orders", ["call.*"])
    modes = [
        queue.look()[-1],
        queue.found(None),
        queue.look()[-1],
        queue.look()[-1],
        queue.found(b"x"),
        queue.look()[-1],
    ]
    assert modes == ["again", [], "done", "again", [b"x"], "done"]
