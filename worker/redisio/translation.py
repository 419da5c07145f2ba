"""Turns redis-py's errors into those that say what happens next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from worker.errors import StoreFault, StoreSetBack, StoreUnavailable
from worker.redisio.refusals import code_of, held_shard, is_unauthenticated
from worker.redisio.wrong_keys import wrong_key


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn redis-py's errors into what `translated` says of them."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise translated(error) from error


def translated(error: Exception, key: str | None = None) -> Exception:
    """Return what an error of redis-py means: StoreUnavailable, WrongKey or, where the fault is ours, StoreFault.

    It has `error` as its cause. `key` is the key of the command, for errors that name none.
    """
    held = held_shard(error) if isinstance(error, ResponseError) else None
    meaning = StoreSetBack(held) if held else _meaning(error, key)
    meaning.__cause__ = error
    return meaning


def _meaning(error: Exception, key: str | None) -> Exception:
    if isinstance(error, ResponseError):
        if code := code_of(error):
            return StoreUnavailable(f"Redis cannot write at the moment: {code}: {error}")
        if (found := wrong_key(error, key)) is not None:
            return found
        if isinstance(error, NoPermissionError) or is_unauthenticated(error):
            return StoreUnavailable(f"Redis refuses: {error}")
        return StoreFault(str(error))
    if isinstance(error, AuthenticationError):
        return StoreUnavailable(f"Redis refuses: {error}")
    return StoreUnavailable(f"Redis does not answer: {type(error).__name__}: {error}")
