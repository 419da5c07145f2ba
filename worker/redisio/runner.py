"""Runs Lua scripts: many in one round trip, loaded when Redis does not know them yet."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from hiredis import pack_command
from redis.exceptions import AuthenticationError, NoPermissionError, NoScriptError, RedisError, ResponseError

from worker.errors import StoreFault, StoreUnavailable, WrongKey
from worker.redisio.refusals import code_of, is_unauthenticated
from worker.redisio.written import QUESTION, is_put_off, wait_for_file
from worker.redisio.wrong_keys import WrongKeys, wrong_key

FRESH_SECONDS = 1.0
"""A connection that was used within this time is used again without a check, which would cost as much as a small
script."""

Command = tuple[str | bytes | float, ...]
"""A Redis command, as its words."""


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A run of one script: its name, its key or keys, and its arguments."""

    script: str
    keys: str | Sequence[str]
    args: Sequence[str | bytes | float]


class Scripts:
    """Runs scripts on one Redis; `text_of` returns the text of a script by its name. Thread-safe."""

    def __init__(self, client: redis.Redis, text_of: Callable[[str], str]) -> None:
        self._client, self._source = client, text_of
        self._digests: dict[str, str] = {}
        self._fresh: deque[tuple[Any, float]] = deque()
        self._wrong_keys = WrongKeys()

    def run(self, call: ScriptCall) -> Any:
        """Run one script and return its reply. Raises StoreUnavailable or WrongKey, see `run_all`."""
        return self.run_all([call])[0]

    def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts in one round trip and return their replies. Each script is atomic, all together are not.

        Without calls nothing is sent.

        Returns once Redis' file has what they wrote, so that a Redis that is killed does not forget it. Raises
        StoreUnavailable or WrongKey; then any of the scripts may have run.
        """
        if not calls:
            return []
        with store_errors():
            *replies, answer = self._run(calls, QUESTION)
            if is_put_off(answer):
                wait_for_file(self._client)
            return [reply for reply, *_ in replies]

    def read_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Run scripts that only read, like `run_all`, but without waiting for Redis' file."""
        with store_errors():
            return [reply for reply, *_ in self._run(calls)]

    def run_commands(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands without a script, like `run_all`, but without waiting for Redis' file.

        The second word of each command is its key.
        """
        with store_errors():
            return self._all_good(self._send(commands), [str(words[1]) for words in commands])

    def _run(self, calls: Sequence[ScriptCall], *questions: Command) -> list[Any]:
        """Return what Redis answers to each call, see `_wrapped`, and then to each of the questions, errors included.

        Sends the text of scripts that it does not know.
        """
        commands = [self._command(call) for call in calls]
        replies = self._send([*commands, *questions])
        unknown = [n for n in range(len(calls)) if isinstance(replies[n], NoScriptError)]
        if unknown:
            again = self._send([*self._whole(calls, commands, unknown), *questions])
            places = [*unknown, *range(len(calls), len(replies))]
            for n, reply in zip(places, again, strict=True):
                replies[n] = reply
        self._all_good(replies[: len(calls)], [_first_key(call) for call in calls])
        return replies

    def _all_good(self, replies: list[Any], keys: Sequence[str]) -> list[Any]:
        """Return `replies` if none is an error, else raise the first error.

        Logs every key of another type, whether it stopped a whole script or a step of it. `keys` has the key of each
        command, for errors that name none.
        """
        errors = [
            wrong_key(reply, key) or reply
            for reply, key in zip(replies, keys, strict=True)
            if isinstance(reply, Exception)
        ]
        for found in (*errors, *(wrong_key(word) for reply in replies for word in _beside(reply))):
            if isinstance(found, WrongKey):
                self._wrong_keys.tell(found)
        if errors:
            raise errors[0]
        return replies

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands in one write. Returns for each its reply, or the error with which Redis answered it.

        Does not use redis-py's pipeline, which takes several times as long as Redis does.
        """
        connection = self._connection()
        try:
            connection.send_packed_command([b"".join([_packed(words) for words in commands])])
            replies = [_reply(connection) for _ in commands]
        except BaseException:
            # Otherwise replies that still arrive would be taken for those of the next call.
            connection.disconnect()
            self._client.connection_pool.release(connection)
            raise
        self._fresh.append((connection, time.monotonic()))
        return replies

    def _connection(self) -> Any:
        """Take a connection that was used just now, else one from redis-py's pool, which checks it first."""
        pool = self._client.connection_pool
        try:
            connection, used_at = self._fresh.pop()
        except IndexError:
            return pool.get_connection()
        if time.monotonic() - used_at < FRESH_SECONDS:
            return connection
        pool.release(connection)
        return pool.get_connection()

    def _command(self, call: ScriptCall) -> Command:
        keys = (call.keys,) if isinstance(call.keys, str) else call.keys
        return ("EVALSHA", self._digest(call.script), len(keys), *keys, *call.args)

    def _whole(
        self, calls: Sequence[ScriptCall], commands: Sequence[Command], places: Sequence[int]
    ) -> list[Command]:
        """Return the commands at `places`, for scripts that Redis does not know: the first of each with its text.

        From that one on Redis knows the script. SCRIPT LOAD is not used because some servers do not allow it.
        """
        known: set[str] = set()
        whole = []
        for n in places:
            name = calls[n].script
            whole.append(commands[n] if name in known else ("EVAL", self._text(name), *commands[n][2:]))
            known.add(name)
        return whole

    def _text(self, name: str) -> str:
        return _wrapped(self._source(name))

    def _digest(self, name: str) -> str:
        if name not in self._digests:
            text = self._text(name).encode()
            self._digests[name] = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        return self._digests[name]


def _wrapped(script: str) -> str:
    """Have `script` reply {reply, second value}: what it returns, and what it returns beside that."""
    return f"""local function run()
{script}
end
local reply, beside = run()
return {{reply or false, beside}}
"""


def _first_key(call: ScriptCall) -> str:
    return call.keys if isinstance(call.keys, str) else call.keys[0]


def _packed(command: Command) -> bytes:
    packed: bytes = pack_command(command)  # type: ignore[arg-type]  # its stub allows one word only
    return packed


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def _beside(reply: Any) -> Sequence[bytes]:
    """Return the keys of another type that a script skipped, see `apart` in common.lua."""
    return reply[1] if isinstance(reply, list) and len(reply) > 1 else ()


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn redis-py's errors into StoreUnavailable, WrongKey or, where the fault is ours, StoreFault."""
    try:
        yield
    except ResponseError as error:
        if code := code_of(error):
            raise StoreUnavailable(f"Redis cannot write at the moment: {code}: {error}") from error
        if (found := wrong_key(error)) is not None:
            raise found from error
        if isinstance(error, NoPermissionError) or is_unauthenticated(error):
            raise StoreUnavailable(f"Redis refuses: {error}") from error
        raise StoreFault(str(error)) from error
    except AuthenticationError as error:
        raise StoreUnavailable(f"Redis refuses: {error}") from error
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not answer: {type(error).__name__}: {error}") from error
