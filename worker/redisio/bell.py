"""Tells an idle worker that a key of Redis has changed, so that it need not ask all the time.

Source: Redis documentation, "Client-side caching", broadcasting mode: the server tells a client about every change to
keys with a prefix, whichever client and library made it.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.exceptions import ResponseError

from worker.redisio.translation import store_errors

_CHANNEL = "__redis__:invalidate"


class Bell:
    """Rings when a key that begins with `prefix` has changed since the bell was hung. For one thread.

    It is for quiet times. Take it down when it rings: on a busy broker it would ring with every change. It cannot be
    hung if the server does not support or allow tracking; then nothing rings. Raises StoreUnavailable.
    """

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._connection: Any = None
        self._refused = False

    @property
    def hung(self) -> bool:
        """Whether the bell rings for changes now."""
        return self._connection is not None

    def hang(self) -> None:
        """Ring for changes from now on. Changes before that do not ring: look for them once after this call."""
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
        """Return whether it rings within `seconds` or has rung since it was hung."""
        with store_errors():
            return bool(self._connection.can_read(seconds))

    def take_down(self) -> None:
        """Stop ringing. Does nothing if the bell is not hung."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._client.connection_pool.release(connection)

    def _subscribed(self, connection: Any) -> bool:
        """Ask the server for tracking; False if it refuses."""
        try:
            self._subscribe(connection)
        except ResponseError:
            return False
        return True

    def _subscribe(self, connection: Any) -> None:
        """Turn on tracking, with the changes as messages of a channel, as for clients without RESP 3."""

        def ask(*words: str | int) -> Any:
            connection.send_command(*words)
            return connection.read_response()

        number = ask("CLIENT", "ID")
        ask("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", "PREFIX", self._prefix)
        ask("SUBSCRIBE", _CHANNEL)
