"""The log of every request that was served: the truth about how often a phone was rung."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

MAX_RECORDS = 1_000_000
MIN_KEY_SHOWN = 16


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """One request to one of the three calls.

    unix         the time when its last byte was read, in seconds since 1970
    call         `telephonecall`, `telephonestatus` or `balance`
    method       `GET` or `POST`
    format       `json` or `xml`
    key          the account's key, masked to its last four characters
    country      as sent, empty if absent
    phone        as sent, not masked: tests need it, and a stand-in rings no phone
    note         the caller's own `ref` field, as sent
    answer       `ref`, `drip`, `no answer`, `reset`, `empty`, an error code, an HTTP error
                 status as text, or `status` and `balance` for the calls of these names
    rung         whether a real provider would have rung the phone
    http_status  of the answer, or None if none was sent
    ref          the ref that a call got or a status request names, otherwise None

    The PIN is not kept in any form: five digits can be recovered from any digest.
    """

    unix: float
    call: str
    method: str
    format: str
    key: str
    country: str
    phone: str
    note: str
    answer: str
    rung: bool
    http_status: int | None
    ref: str | None

    @property
    def time(self) -> str:
        """`unix` as RFC 3339 in UTC, to the millisecond."""
        moment = datetime.fromtimestamp(self.unix, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def as_json(self) -> str:
        """The record as one line of JSON, `time` first, without the line's end."""
        return json.dumps({"time": self.time, **asdict(self)})


class RequestLog:
    """Keeps the newest records, oldest first. It is thread-safe."""

    def __init__(self, limit: int = MAX_RECORDS) -> None:
        self._records: deque[ServedRequest] = deque(maxlen=limit)
        self._lock = threading.Lock()

    def add(self, record: ServedRequest) -> None:
        with self._lock:
            self._records.append(record)

    def records(self, phone: str | None = None) -> list[ServedRequest]:
        """A copy of all records, or of those for one number."""
        with self._lock:
            records = list(self._records)
        return records if phone is None else [record for record in records if record.phone == phone]

    def as_json_lines(self, phone: str | None = None) -> bytes:
        return "".join(f"{record.as_json()}\n" for record in self.records(phone)).encode()

    def clear(self) -> None:
        with self._lock:
            self._records.clear()


def masked_key(key: str) -> str:
    """The last four characters of a key after asterisks. Nothing of a key that is too short to hide the rest."""
    return f"****{key[-4:]}" if len(key) >= MIN_KEY_SHOWN else "****" if key else ""
