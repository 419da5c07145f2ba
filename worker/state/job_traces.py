"""The trace contexts that the records of ended jobs keep."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from worker.redisio.translation import store_errors
from worker.state import keys


class JobTraces:
    """Reads trace contexts. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def of(self, jobs: Sequence[tuple[str, str]]) -> list[str]:
        """Return the context of each job, named by account and id; empty if its record is gone or has none.

        Takes one round trip. Raises StoreUnavailable, and WrongKey.
        """
        with store_errors(), self._client.pipeline(transaction=False) as pipeline:
            for account, job_id in jobs:
                pipeline.hget(f"{keys.prefix_of(account)}job:{job_id}", "trace")
            found: list[bytes | None] = pipeline.execute()
        return [text.decode() if text else "" for text in found]
