"""The bare job on saq: `saq saq_jobs.settings`."""

from __future__ import annotations

import asyncio
from typing import Any

from calling import Calling
from saq import Queue
from shared import BROKER_URL, IN_FLIGHT, asked_for

queue = Queue.from_url(BROKER_URL, max_concurrent_ops=IN_FLIGHT)


async def startup(context: dict[str, Any]) -> None:
    context["calling"] = Calling()


async def bare(context: dict[str, Any], *, job_fields: dict[str, Any]) -> None:
    await context["calling"].bare(job_fields)


settings = {"queue": queue, "functions": [bare], "concurrency": IN_FLIGHT, "startup": startup}


async def enqueue(jobs: list[dict[str, Any]]) -> None:
    await queue.connect()
    for each in jobs:
        await queue.enqueue("bare", job_fields=each, ttl=-1, retries=1)


if __name__ == "__main__":
    asyncio.run(enqueue(asked_for()[1]))
