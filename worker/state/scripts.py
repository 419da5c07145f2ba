"""Runs the Lua scripts: many in one round trip, loaded when Redis does not know them yet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from worker.errors import StoreUnavailable

_NOT_NOW = (ClusterDownError, MasterDownError, NoScriptError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_NOT_NOW_CODES = ("MISCONF ", "NOREPLICAS ", "BUSY ")
"""Error replies of a server that is up but cannot serve a write at the moment; redis-py has no class for these."""


@dataclass(frozen=True, slots=True)
class Call:
    """One script with its key and arguments."""

    script: str
    key: str
    args: tuple[str | int, ...]


class Scripts:
    """The scripts of this package on one Redis. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, call: Call) -> Any:
        """The reply of one script. Raises StoreUnavailable."""
        return self.run_all([call])[0]

    def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """The replies of `calls`, sent in one round trip; each script is atomic, the whole is not.

        Raises StoreUnavailable; then any of the scripts may have run.
        """
        with translated():
            replies = self._send(calls)
            unknown = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if unknown:
                for name in {calls[n].script for n in unknown}:
                    self._client.script_load(source(name))
                for n, reply in zip(unknown, self._send([calls[n] for n in unknown]), strict=True):
                    replies[n] = reply
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
            return replies

    def _send(self, calls: Sequence[Call]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.evalsha(digest(call.script), 1, call.key, *call.args)
        return list(pipeline.execute(raise_on_error=False))


@cache
def source(name: str) -> str:
    """A script as Redis gets it: the prelude, unless it needs none, and its own file."""
    folder = files("worker.state") / "scripts"
    own = (folder / f"{name}.lua").read_text(encoding="utf-8")
    return own if name == "claim" else (folder / "common.lua").read_text(encoding="utf-8") + own


@cache
def digest(name: str) -> str:
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


@contextmanager
def translated() -> Iterator[None]:
    """Turns redis-py's errors into StoreUnavailable; an error in a script of ours stays what it is."""
    try:
        yield
    except ResponseError as problem:
        if isinstance(problem, _NOT_NOW) or any(code in str(problem) for code in _NOT_NOW_CODES):
            raise StoreUnavailable(f"Redis cannot write at the moment: {problem}") from problem
        raise
    except (RedisError, OSError) as problem:
        raise StoreUnavailable(f"Redis does not answer: {type(problem).__name__}: {problem}") from problem
