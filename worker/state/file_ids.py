"""Keeps the secret from which ids of lines in files are made.

The secret is in the same Redis as the ids that are remembered, so it is lost only together with them.
"""

from __future__ import annotations

import secrets
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from worker.redisio.cluster_client import nodes_of
from worker.redisio.connection import connect
from worker.redisio.replicas import check
from worker.redisio.translation import store_errors
from worker.redisio.written import wait_for_file
from worker.state import keys

SECRET_BYTES = 32


def shared_secret(redis_url: str, replicas: int = 0) -> bytes | None:
    """Return the secret that all producers on that Redis share; the first call creates it.

    `replicas` must have it before it is used.

    Returns None if this user may not read or write it, or if its key holds another type. Raises StoreUnavailable.
    """
    with connect(redis_url, replicas=replicas) as client, store_errors():
        try:
            node = nodes_of(client).of(keys.FILE_IDS)
            server = node.client
            found: Any = server.get(keys.FILE_IDS)
            if found is None:
                server.set(keys.FILE_IDS, secrets.token_bytes(SECRET_BYTES), nx=True)
                found = server.get(keys.FILE_IDS)
                wait_for_file(server)
            check(server, node.mark)
        except ResponseError as error:
            if isinstance(error, NoPermissionError) or "WRONGTYPE" in str(error):
                return None
            raise
    return bytes(found)
