"""The bare job on arq: `python arq_jobs.py worker`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from arq import create_pool, run_worker
from arq.connections import RedisSettings
from calling import Calling
from shared import BROKER_URL, IN_FLIGHT, asked_for


async def startup(context: dict[str, Any]) -> None:
    context["calling"] = Calling()


async def bare(context: dict[str, Any], job: dict[str, Any]) -> None:
    await context["calling"].bare(job)


class WorkerSettings:
    functions = (bare,)
    redis_settings = RedisSettings.from_dsn(BROKER_URL)
    on_startup = startup
    max_jobs = IN_FLIGHT
    poll_delay = 0.01
    keep_result = 0
    log_results = False


async def enqueue(jobs: list[dict[str, Any]]) -> None:
    pool = await create_pool(WorkerSettings.redis_settings)
    for each in jobs:
        await pool.enqueue_job("bare", each)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        run_worker(WorkerSettings)
    else:
        asyncio.run(enqueue(asked_for()[1]))
