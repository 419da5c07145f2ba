"""Hears that something was put into a list of Redis, so that a worker with nothing to do need not look all the time.

Source: Redis documentation, "Client-side caching", broadcasting mode: the server tells a client of every change to keys
with a prefix, whoever made it and with whatever library.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.exceptions import ResponseError

from worker.redisio.runner import store_errors

_CHANNEL = "__redis__:invalidate"


class Bell:
    """Rings when a key that begins with `prefix` has changed since it was hung. Raises StoreUnavailable.

    It is for quiet times: whoever hears it takes it down, for it would ring with each of a busy broker's changes. Where
    the server has no such thing, or does not allow it, it cannot be hung. For one thread.
    """

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._connection: Any = None
        self._refused = False

    @property
    def hung(self) -> bool:
        return self._connection is not None

    def hang(self) -> None:
        """Hear of changes from now on; what changed before has to be looked for once more."""
        if self._refused:
            return
        with store_errors():
            self._connection = self._client.connection_pool.get_connection()
        try:
            with store_errors():
                self._refused = not self._subscribed(self._connection)
        except BaseException:
            self.take_down()
            raise
        if self._refused:
            self.take_down()

    def wait(self, seconds: float) -> bool:
        """Whether it rings within `seconds`, or has since it was hung."""
        with store_errors():
            return bool(self._connection.can_read(seconds))

    def take_down(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def _subscribed(self, connection: Any) -> bool:
        """False where the server will not."""
        try:
            self._subscribe(connection)
        except ResponseError:
            return False
        return True

    def _subscribe(self, connection: Any) -> None:
        """The connection is sent what it tracks as messages of a channel, as clients without RESP 3 have it."""

        def ask(*words: str | int) -> Any:
            connection.send_command(*words)
            return connection.read_response()

        number = ask("CLIENT", "ID")
        ask("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", "PREFIX", self._prefix)
        ask("SUBSCRIBE", _CHANNEL)
