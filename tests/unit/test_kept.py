"""What is asked at the end of a round trip, and what is made of the answers."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from redis.exceptions import MovedError, OutOfMemoryError, ReadOnlyError, ResponseError

from callworker.replicas import NoReplicas
from worker.redisio.connection import connect
from worker.redisio.kept import Kept, questions, settled
from worker.redisio.node import Node
from worker.redisio.written import QUESTION

NOBODY = "redis://127.0.0.1:1/0"
WRITTEN = b"aof_pending_bio_fsync:0\r\n"


def node(replicas: int, seconds: float = 5.0) -> Node:
    with closing(connect(NOBODY, replicas=replicas, seconds=seconds)) as client:
        return Node(client, "callworker:{3}:replicas")


@pytest.mark.parametrize(
    ("kept", "replicas", "asked"),
    [
        (Kept.NOT, 2, []),
        (Kept.REPLICAS, 0, []),
        (Kept.REPLICAS, 2, ["SET", "WAIT"]),
        (Kept.FILE, 0, ["INFO"]),
        (Kept.FILE, 2, ["INFO", "SET", "WAIT"]),
    ],
)
def test_only_what_is_needed_is_asked(kept: Kept, replicas: int, asked: list[str]) -> None:
    """`WAIT` comes right after the small write, whose key is one of the server's own."""
    commands = questions(node(replicas), kept)
    assert [words[0] for words in commands] == asked
    if replicas and kept:
        assert commands[-2:] == [("SET", "callworker:{3}:replicas", "1"), ("WAIT", 2, 1000)]
    assert kept is not Kept.FILE or commands[0] == QUESTION


def test_replicas_are_waited_for_less_long_than_an_answer() -> None:
    """Else the answer would come when nobody waits for it any more."""
    assert questions(node(1, seconds=1.0), Kept.REPLICAS)[-1] == ("WAIT", 1, 500)
    assert questions(node(1), Kept.REPLICAS, patience_seconds=0.5)[-1] == ("WAIT", 1, 400)
    assert questions(node(1), Kept.REPLICAS, patience_seconds=5.0)[-1] == ("WAIT", 1, 1000)


@pytest.mark.parametrize(
    ("marked", "waited", "problem"),
    [
        (b"OK", 1, None),
        (b"OK", 2, None),
        (b"OK", 0, NoReplicas),
        (b"OK", None, NoReplicas),
        (b"OK", ResponseError("unknown command 'WAIT'"), ResponseError),
        (b"OK", ResponseError("WAIT cannot be used with replica instances."), ReadOnlyError),
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), 1, None),
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), 0, NoReplicas),
        (MovedError("3 127.0.0.1:1"), 1, MovedError),
        (ReadOnlyError("You can't write against a read only replica."), 1, ReadOnlyError),
    ],
)
def test_replies_count_if_replicas_have_them(
    marked: Any, waited: Any, problem: type[Exception] | None
) -> None:
    """The small write must be done, except where the server's memory is full, and the answer must be a number."""
    found = settled(node(1), Kept.FILE, [b"a", b"b", WRITTEN, marked, waited])
    assert found == [b"a", b"b"] if problem is None else type(found) is problem
