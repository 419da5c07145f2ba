"""Says whether Redis came back with an earlier state in the last day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from worker.cli.doctor.finding import Finding
from worker.state import keys
from worker.state.last_set_back import LastSetBack

NAME = "Redis state"
CAUSE = "find out what set Redis back: a backup that was restored, a lost file, or a failover"


def check(found: LastSetBack) -> Iterator[Finding]:
    """Yield nothing if it did not."""
    if found.held:
        text = f"{_some(found.held)} came back with an earlier state and are held: nothing is dialled there"
        yield Finding.warn(NAME, text, "let workers run: it ends by itself, within 30 s of their start")
    elif found.shards:
        at = datetime.fromtimestamp(found.ended, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        text = (
            f"{_some(found.shards)} came back with an earlier state, made good at {at}: {found.put_back} jobs were"
            f" put back, {found.perhaps_rung} count as perhaps rung"
        )
        yield Finding.warn(NAME, text, CAUSE)


def _some(shards: int) -> str:
    return f"{shards} of {keys.layout().shards} shards"
