"""The secret from which ids of lines follow is one for all who send to a Redis, and is never made up twice."""

from __future__ import annotations

import pytest
import redis

from worker.errors import StoreUnavailable
from worker.state import keys
from worker.state.file_ids import SECRET_BYTES, shared_secret


def test_secret_is_made_once(redis_url: str) -> None:
    """Every caller gets the same secret, long enough that nobody can guess it (D4)."""
    first = shared_secret(redis_url)
    assert first is not None
    assert len(first) == SECRET_BYTES
    assert shared_secret(redis_url) == first


def test_full_redis_gives_no_other_secret(redis_url: str) -> None:
    """A Redis that takes no writes still gives the secret that it has; without one the file waits: another id for the
    same line would ring its phone again (D4)."""
    with redis.Redis.from_url(redis_url) as client:
        secret = shared_secret(redis_url)
        client.config_set("maxmemory", "1")
        try:
            assert shared_secret(redis_url) == secret
            client.delete(keys.FILE_IDS)
            with pytest.raises(StoreUnavailable):
                shared_secret(redis_url)
        finally:
            client.config_set("maxmemory", "0")


def test_key_of_another_type_and_missing_rights_are_told_apart_from_an_outage(redis_url: str) -> None:
    """Both last, so that ids follow from the file instead, and go on doing so (D4)."""
    with redis.Redis.from_url(redis_url) as client:
        client.rpush(keys.FILE_IDS, "something else")
        assert shared_secret(redis_url) is None
        client.acl_setuser("producer", enabled=True, nopass=True, commands=["+@all"], keys=["calls*"])
        try:
            host = redis_url.replace("redis://", "redis://producer:x@")
            assert shared_secret(host) is None
        finally:
            client.acl_deluser("producer")
