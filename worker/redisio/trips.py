"""Round trips to the servers of a store: each command goes to the server of its key."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.exceptions import MovedError, RedisError, ResponseError

from worker.redisio.kept import Kept, questions, settled
from worker.redisio.node import Command, Node, exchange
from worker.redisio.nodes import Nodes
from worker.redisio.reach import Reach
from worker.redisio.refusals import ON_THE_MOVE, code_of

APART_SECONDS = 2.0
"""How long the keys of a server are asked for one by one after some of them were on their way to another server."""

Commands = Mapping[int, Command]
"""Some commands, by their places among the keys that go with them."""


class Trips:
    """The servers, of which one that is away does not hold up the others, see `Reach`. Thread-safe."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self.reach = Reach() if nodes.several else None

    @property
    def several(self) -> bool:
        """Whether there are several servers."""
        return self._nodes.several

    def server_of(self, key: str) -> Node | None:
        """Return the server that has `key`, None if that cannot be learned at the moment."""
        try:
            return self._nodes.of(key)
        except (RedisError, OSError):
            return None

    def group_of(self, key: str) -> object:
        """Return what `key` has in common with those that can go into one call with it: the server, or nothing."""
        node = self.server_of(key)
        return key if node is None or node.apart_until > time.monotonic() else node

    def keep_apart(self, key: str, error: ResponseError) -> None:
        """Keep the keys of a server apart for a while, if `error` says that they are on their way to another one."""
        node = self.server_of(key)
        if node is not None and code_of(error) in ON_THE_MOVE:
            node.apart_until = time.monotonic() + APART_SECONDS

    def follow(self, keys: Sequence[str], commands: Commands, kept: Kept) -> dict[int, Any]:
        """Send commands, and those whose keys are on another server of the cluster once more, there. See `send`."""
        replies = self.send(keys, commands, kept)
        if self.several:
            moved = [n for n, reply in replies.items() if isinstance(reply, MovedError)]
            if moved:
                replies |= self.send(keys, {n: commands[n] for n in moved}, kept)
        return replies

    def send(
        self,
        keys: Sequence[str],
        commands: Commands,
        kept: Kept,
        spelled: Callable[[Commands], Commands] = lambda some: some,
    ) -> dict[int, Any]:
        """Send commands to the servers of their keys; return by place the reply, or redis-py's error.

        `spelled` changes the commands of each server as they go out.
        """
        replies: dict[int, Any] = {}
        work: dict[Node, dict[int, Command]] = {}
        for place, command in commands.items():
            try:
                work.setdefault(self._nodes.of(keys[place]), {})[place] = command
            except (RedisError, OSError) as error:
                replies[place] = error
        trips = [(node, spelled(some)) for node, some in work.items()]
        send = self.reach.exchange if self.reach else exchange
        patience = self.reach.patience_seconds if self.reach else lambda _: None
        answers = send([
            (node, [*some.values(), *questions(node, kept, patience(node))]) for node, some in trips
        ])  # fmt: skip
        for (node, some), answer in zip(trips, answers, strict=True):
            found = settled(node, kept, answer)
            if self.reach and not isinstance(found, list):
                self.reach.leave(node, found)
            replies |= (
                zip(some, found, strict=True) if isinstance(found, list) else dict.fromkeys(some, found)
            )
        return replies
