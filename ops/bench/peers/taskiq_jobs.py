"""The bare and the full job on taskiq with its Redis stream broker: `taskiq worker taskiq_jobs:broker`.

A message is acknowledged when its task has ended, which is taskiq's default.
"""

from __future__ import annotations

import asyncio
from typing import Any

import full
from calling import Calling
from pydantic import ValidationError
from shared import BROKER_URL, IN_FLIGHT, asked_for
from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(BROKER_URL, xread_count=IN_FLIGHT, consumer_id="0")


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def startup(state: TaskiqState) -> None:
    state.calling = Calling()
    state.admit = state.calling.store.register_script(full.ADMIT)
    state.settle = state.calling.store.register_script(full.SETTLE)


@broker.task(task_name="bare")
async def bare(job: dict[str, Any]) -> None:
    await broker.state.calling.bare(job)


@broker.task(task_name="full")
async def full_job(fields: dict[str, Any]) -> None:
    state = broker.state
    try:
        job = full.VerificationJob(**fields)
    except ValidationError as problem:
        await state.settle(**full.rejected(fields, problem))
        return
    while (wait_us := await state.admit(**full.admission(job))) > 0:
        await asyncio.sleep(wait_us / 1_000_000)
    if wait_us == 0:
        await state.settle(**full.placed(job, await state.calling.call(fields)))


async def enqueue(kind: str, jobs: list[dict[str, Any]]) -> None:
    await broker.startup()
    for each in jobs:
        await {"bare": bare, "full": full_job}[kind].kiq(each)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(enqueue(*asked_for()))
