"""Says what to do about a server that cannot be used."""

from __future__ import annotations

from worker.errors import ConfigurationError
from worker.network.causes import Cause, cause_of

REMEDIES = {
    Cause.PASSWORD: "correct the user name and password in {variable}, or the server's own",
    Cause.RIGHTS: "give this user the rights that docs/reference/settings.md lists",
    Cause.PLACE: "name a database or virtual host in {variable} that exists and that this user may use",
    Cause.TLS: "compare the scheme of {variable}, the server's certificate and its host name",
    Cause.NAME: "correct the host in {variable}, or the machine's name resolution",
    Cause.REFUSED: "start that server, or correct {variable}",
    Cause.SLOW: "check the server and the firewall before it, or correct {variable}",
    Cause.MEMORY: "raise `maxmemory` in Redis, give it a larger machine, or lower LEDGER_RETENTION",
    Cause.DISK: "free space on the disk of Redis' files; Redis then writes again by itself",
    Cause.BLOCKED: "free memory or disk space at the broker; `rabbitmq-diagnostics alarms` says which",
    Cause.REPLICA: "name the primary in {variable}, or an address that always leads to it",
    Cause.REPLICAS: "start the replicas that are missing, or lower REDIS_REPLICAS, or `min-replicas-to-write` in "
    "Redis",
    Cause.UNKNOWN_MASTER: "name in {variable} the master as `sentinel monitor` in the Sentinels' files does",
    Cause.NO_MASTER: "start the Sentinels that are missing; if a failover is under way, wait for its end",
    Cause.CLUSTER: "name in {variable} a Redis that is no part of a cluster; REDIS_URL may name all: redis+cluster://…",
    Cause.SLOTS: "start the servers that are missing, or let their replicas take over; accounts on the others go on",
    Cause.LAYOUT: "name in {variable} the Redis of this installation, or use the version that wrote its state",
    Cause.SET_BACK: "find out what set Redis back: a backup that was restored, a lost file, or a failover",
    Cause.OTHER: "look at the server's own log, or correct {variable}",
}


def remedy_of(error: BaseException, variable: str) -> str:
    """The remedy for a server whose address is in `variable`."""
    if isinstance(error, ConfigurationError):
        return f"correct {variable}, or the file that it names"
    return REMEDIES[cause_of(error)].format(variable=variable)
