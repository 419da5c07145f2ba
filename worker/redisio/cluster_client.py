"""A client of a Redis Cluster: each command goes to the server that has its key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import redis
from redis.exceptions import MovedError, RedisError

from worker.redisio.cluster import ClusterNode, ClusterNodes, slot_of
from worker.redisio.nodes import Nodes, OneNode

_KEYLESS = {"PING", "TIME", "INFO"}
_SCRIPTED = {"EVAL", "EVALSHA"}


class _Call(NamedTuple):
    """A call of a method of redis-py's pipeline."""

    name: str
    args: tuple[Any, ...]
    options: dict[str, Any]


class ClusterClient(redis.Redis):
    """Redis' commands on a cluster: each goes to the server of its key, and one without a key to any.

    Commands of several keys must have these on one slot.
    """

    def __init__(self, nodes: ClusterNodes) -> None:
        self.nodes = nodes

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command. Raises redis-py's errors."""
        slot = _slot(args)
        node = self.nodes.of_slot(slot)
        client: Any = node.client
        try:
            return client.execute_command(*args, **options)
        except MovedError as error:
            node.failed(error)
            client = self.nodes.of_slot(slot).client
            return client.execute_command(*args, **options)
        except (RedisError, OSError) as error:
            node.failed(error)
            raise

    def pipeline(self, transaction: Any = True, _shard_hint: Any = None) -> Any:
        """Return what gathers commands for several servers, see `_Pipeline`."""
        return _Pipeline(self.nodes, transaction)

    def close(self) -> None:
        self.nodes.close()

    def __enter__(self) -> Self:
        return self

    def __del__(self) -> None:
        """Leave the connections to the pools of the servers."""


def nodes_of(client: redis.Redis) -> Nodes:
    """Return the servers of the store that `client` speaks to."""
    return client.nodes if isinstance(client, ClusterClient) else OneNode(client)


class _Pipeline:
    """Commands for several servers, each of which gets its own at once. Atomic only if it is a transaction of one slot.

    Has redis-py's methods for commands whose first argument is their key. A command without a key goes to the server of
    the key before it, or else of the key after it.
    """

    def __init__(self, nodes: ClusterNodes, transaction: bool) -> None:
        self._nodes, self._transaction = nodes, transaction
        self._calls: list[_Call] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._calls = []

    def __getattr__(self, name: str) -> Callable[..., _Pipeline]:
        def gather(*args: Any, **options: Any) -> _Pipeline:
            self._calls.append(_Call(name, args, options))
            return self

        return gather

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Run the commands; return the replies in their order, and the errors too unless `raise_on_error`."""
        calls, self._calls = self._calls, []
        replies: dict[int, Any] = {}
        for node, places in self._by_node(calls).items():
            found = self._run(node, [calls[n] for n in places], raise_on_error)
            replies |= zip(places, found, strict=True)
        return [replies[n] for n in range(len(calls))]

    def _run(self, node: ClusterNode, calls: Sequence[_Call], raise_on_error: bool) -> list[Any]:
        with node.client.pipeline(transaction=self._transaction) as pipeline:
            for name, args, options in calls:
                getattr(pipeline, name)(*args, **options)
            try:
                found: list[Any] = pipeline.execute(raise_on_error=raise_on_error)
            except (RedisError, OSError) as error:
                node.failed(error)
                if raise_on_error:
                    raise
                return [error] * len(calls)
        node.answered(found)
        return found

    def _by_node(self, calls: Sequence[_Call]) -> dict[ClusterNode, list[int]]:
        keyed = [None if call.name.upper() in _KEYLESS else slot_of(call.args[0]) for call in calls]
        slot = next((own for own in keyed if own is not None), None)
        found: dict[ClusterNode, list[int]] = {}
        for place, own in enumerate(keyed):
            slot = slot if own is None else own
            found.setdefault(self._nodes.of_slot(slot or 0), []).append(place)
        return found


def _slot(words: Sequence[Any]) -> int:
    """Return the slot of a command's key; without a key, any slot."""
    name = str(words[0]).upper()
    if name in _KEYLESS:
        return 0
    return slot_of(words[3] if name in _SCRIPTED else words[1])
