"""Makes ids for lines without an id: the same line of the same file gets the same id every time.

An id appears in logs, and there are few enough phone numbers and PINs to try all of them. So an id is computed from the
content of the line and a secret that Redis keeps. If the broker is not Redis and no REDIS_URL is set, there is no such
secret. Then a digest of the whole file takes its place. It takes a tenth of a second to compute, so each guess takes as
long; and after any change of the file all its ids are different.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter

from worker.broker.address import redis_broker
from worker.core.jobs import Job
from worker.core.repeats import content
from worker.settings import Settings
from worker.state.file_ids import shared_secret

SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_MEMORY = 2**15, 8, 2**26
DIGITS = 32


class FileIds:
    """Makes ids from the content of lines. Equal lines are different jobs: the id also counts the equal ones before."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._seen: Counter[bytes] = Counter()

    def next(self, job: Job, expires_at: object) -> str:
        """The id of the next line with this job and this spelling of the time. The id in `job` is ignored."""
        line = self._digest(f"{job.account}\n{content(job)}\n{expires_at}")
        self._seen[line] += 1
        return f"file_{self._digest(f'{line.hex()} {self._seen[line]}').hex()[:DIGITS]}"

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode(errors="surrogatepass"), "sha256")


def secret_for(settings: Settings, whole: bytes) -> bytes:
    """The secret for a file with the content `whole`. Raises StoreUnavailable."""
    url = redis_broker(settings) or settings.redis_url
    return (shared_secret(url, settings.redis_replicas) if url else None) or _stretched(whole)


def _stretched(whole: bytes) -> bytes:
    salt = b"callworker file ids"
    return hashlib.scrypt(
        whole, salt=salt, n=SCRYPT_COST, r=SCRYPT_BLOCK, p=1, maxmem=SCRYPT_MEMORY, dklen=32
    )
