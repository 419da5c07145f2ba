"""The bare job on dramatiq with its Redis broker and worker threads: `dramatiq dramatiq_jobs`."""

from __future__ import annotations

import threading
from typing import Any

import dramatiq
import redis
import requests
from dramatiq.brokers.redis import RedisBroker
from shared import (
    BROKER_URL,
    CALL_URL,
    CONNECTIONS,
    REDIS_URL,
    TIMEOUT_SECONDS,
    asked_for,
    form,
    outcome_key,
    ref_in,
)

dramatiq.set_broker(RedisBroker(url=BROKER_URL))
store = redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(REDIS_URL, max_connections=CONNECTIONS))
local = threading.local()


@dramatiq.actor(actor_name="bare")
def bare(job: dict[str, Any]) -> None:
    if not hasattr(local, "session"):
        local.session = requests.Session()
        local.session.trust_env = False
    ref = ref_in(local.session.post(CALL_URL, form(job), timeout=TIMEOUT_SECONDS).content)
    store.hset(outcome_key(job["id"]), mapping={"status": "placed", "ref": ref})


if __name__ == "__main__":
    for each in asked_for()[1]:
        bare.send(each)
