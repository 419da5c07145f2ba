"""Says whether Redis is the primary, and whether replicas keep up with it, from its own information."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from worker.cli.doctor.finding import Finding
from worker.network.causes import Cause
from worker.network.remedies import REMEDIES

MAX_BEHIND_SECONDS = 10
"""The longest time since a replica confirmed what it has. It does so every second."""


def check(facts: Mapping[str, Any], wanted: int = 0) -> Iterator[Finding]:
    """Yield the role of the server whose `INFO` is `facts`, and the state of its replicas.

    `wanted` is REDIS_REPLICAS. Yields nothing of replicas if there are none and none is wanted.
    """
    if facts.get("role") == "slave":
        remedy = REMEDIES[Cause.REPLICA].format(variable="REDIS_URL")
        primary = f"{facts.get('master_host')}:{facts.get('master_port')}"
        yield Finding.fail("Redis role", f"a replica of {primary}, which takes no writes", remedy)
        return
    replicas = [facts[f"slave{n}"] for n in range(int(facts.get("connected_slaves", 0)))]
    if not replicas and not wanted:
        return
    behind = [f"{each['ip']}:{each['port']}" for each in replicas if _is_behind(each)]
    if len(replicas) - len(behind) < wanted:
        text = (
            f"{len(replicas) - len(behind)} keep up, and REDIS_REPLICAS asks for {wanted}: nothing is dialled"
        )
        yield Finding.fail("Redis replicas", text, REMEDIES[Cause.REPLICAS])
    elif behind:
        text = f"{len(behind)} of {len(replicas)} do not keep up: {', '.join(behind)}"
        yield Finding.warn("Redis replicas", text, "look at their logs: a failover to one of them loses jobs")
    else:
        yield Finding.ok(
            "Redis replicas", f"{len(replicas)}, all keep up; {_waited_for(len(replicas), wanted)}"
        )


def _waited_for(count: int, wanted: int) -> str:
    if not wanted:
        return "none is waited for, so that a failover may lose jobs: see REDIS_REPLICAS"
    spare = count - wanted
    return f"REDIS_REPLICAS asks for {wanted}, so {spare or 'none'} may fail"


def _is_behind(replica: Mapping[str, Any]) -> bool:
    return replica.get("state") != "online" or replica.get("lag", 0) > MAX_BEHIND_SECONDS
