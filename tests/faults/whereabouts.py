"""Says where a job without an event is, to explain a verdict of "lost"."""

from __future__ import annotations

import json

import redis

from worker.state.dead_letters import MAX_KEEP, RedisDeadLetters
from worker.state.views import JobViews

LETTER = "dead letter: "
BURIED = f"{LETTER}crashed its worker "
"""How the line begins of a message that three workers died at, one after the other: by contract it is put aside."""


def letter_of(client: redis.Redis, job_id: str) -> str | None:
    """Return why the job is among the dead letters; None if it is not."""
    for letter in RedisDeadLetters(client).newest(MAX_KEEP):
        if f'"{job_id}"' in json.dumps(letter.content):
            return letter.reason
    return None


def is_buried(client: redis.Redis, job_id: str) -> bool:
    """Return whether the job is a dead letter because three workers died at it."""
    return f"{LETTER}{letter_of(client, job_id)}".startswith(BURIED)


def whereabouts(client: redis.Redis, job_id: str) -> str:
    """Return one line for people. Does not raise if Redis is away."""
    try:
        reason = letter_of(client, job_id)
        view = JobViews(client).find(job_id)
    except Exception as error:
        return f"not known: {type(error).__name__}"
    if reason is not None:
        return f"{LETTER}{reason}"
    if view is None:
        return "not on record"
    wait = f", {json.dumps(view.wait.as_dict())}" if view.wait else ""
    steps = "; ".join(f"{step.as_dict()['at']} {step.name} {step.detail}" for step in view.history)
    return f"{view.state}{wait}: {steps}"
