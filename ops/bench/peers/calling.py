"""What the asyncio peers share: one aiohttp session and one Redis client, made inside the running loop."""

from __future__ import annotations

from typing import Any

import aiohttp
import redis.asyncio as redis
from shared import CALL_URL, CONNECTIONS, IN_FLIGHT, REDIS_URL, TIMEOUT_SECONDS, form, outcome_key, ref_in


class Calling:
    """Places calls and keeps outcomes."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=IN_FLIGHT), timeout=aiohttp.ClientTimeout(TIMEOUT_SECONDS)
        )
        pool = redis.BlockingConnectionPool.from_url(REDIS_URL, max_connections=CONNECTIONS)
        self.store = redis.Redis.from_pool(pool)

    async def call(self, job: dict[str, Any]) -> str:
        """Send the POST and return the ref."""
        async with self._session.post(CALL_URL, data=form(job)) as answer:
            return ref_in(await answer.read())

    async def bare(self, job: dict[str, Any]) -> None:
        ref = await self.call(job)
        await self.store.hset(outcome_key(job["id"]), mapping={"status": "placed", "ref": ref})
