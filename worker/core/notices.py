"""Events for producers that end no job: a cancel that changed nothing, and a job whose id was used before.

They go to the results queue alone. Their ids follow from what they say, so that a message that comes again gives the
same id.
"""

from __future__ import annotations

import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

from worker.core.cancels import NOT_FOUND, Cancel, Stays, told_state
from worker.core.events import Failure, event_id_from, rfc3339
from worker.core.records import Foreign, Known
from worker.core.repeats import OTHER_FIELDS

NOT_CANCELED, CONFLICT = "job.not_canceled", "job.conflict"

_STAYS = {
    "dialling": "the job is being dialled",
    NOT_FOUND: "no job of this account is on record under the id",
}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Notice:
    """An event that ends no job: its type, which is the routing key, its bytes, and the account that it is about."""

    type: str
    body: str
    account: str


def not_canceled(cancel: Cancel, found: Stays, installation: str) -> Notice:
    """Tell that a job was not canceled. The id is another one once the job was leased again.

    `installation` is the random id of the state, see `Ledger.installation`.
    """
    job_id, account, state = cancel.job_id, found.account, found.state
    event_id = event_id_from(repr((installation, NOT_CANCELED, job_id, account, state, found.fence)))
    failure = Failure("NOT_CANCELED", _STAYS.get(state, f"the job has ended as {state}"))
    return _notice(NOT_CANCELED, event_id, {"id": job_id, "account": account, "status": state}, failure)


def conflict(job_id: str, account: str, known: Known, content: str, secret: bytes) -> Notice:
    """Tell that a job of `account` was dropped because another one was the first to use its id.

    `content` is what the dropped job says, see `worker.core.repeats`. The event's id depends on it, and on `secret`:
    without it nobody can find PIN and number by trying. The first job is not shown to another account.
    """
    told = repr((CONFLICT, job_id, account, known.differs)) + content
    digest = hmac.digest(secret, told.encode(errors="surrogatepass"), "sha256").hex()
    foreign = isinstance(known, Foreign)
    fields = [] if known.differs == OTHER_FIELDS else list(known.differs)
    message = f"the id belongs to a job {'of another account' if foreign else 'that differs'}"
    data = {
        "id": job_id,
        "account": account,
        "status": None if foreign else told_state(known.state),
        "fields": fields,
    }
    return _notice(CONFLICT, f"evt_{digest[:32]}", data, Failure("CONFLICT", message))


def _notice(kind: str, event_id: str, data: dict[str, Any], failure: Failure) -> Notice:
    body = {
        "id": event_id,
        "type": kind,
        "timestamp": rfc3339(time.time_ns() // 1000),
        "data": data | {"error": failure.as_dict()},
    }
    return Notice(kind, _encode(body), data["account"])
