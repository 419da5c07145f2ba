"""Says how much of a state on several servers is out of reach."""

from __future__ import annotations

from collections.abc import Iterator

from worker.cli.doctor.finding import Finding
from worker.errors import StoreUnavailable
from worker.state import keys
from worker.state.census import Census


def check(census: Census) -> Iterator[Finding]:
    """Yield a finding if some shards cannot be reached while others can. Asks nothing of a store on one server."""
    try:
        away = census.shards_away()
    except StoreUnavailable:
        return
    if away:
        yield Finding.fail(
            "Redis shards",
            f"{away} of {keys.layout().shards} cannot be reached: nothing of their accounts is accepted or dialled",
            "start the server that is missing, or promote its replica; workers go on by themselves",
        )
