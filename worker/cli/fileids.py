"""Ids for the lines of a file that has none: the same line of the same file has the same id again.

An id stands in logs, and phone and PIN together are few enough to be guessed one after the other. So ids follow from
what a line says and a secret that Redis keeps. Where the broker is not Redis and no REDIS_URL is set, there is none:
then they follow from the line and from a digest of the whole file that takes a tenth of a second, so that each guess
takes as long; and a changed file has other ids throughout.
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
    """Hands out ids by what lines say. Equal lines of one file are different jobs: each also counts those before it."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._seen: Counter[bytes] = Counter()

    def next(self, job: Job, expires_at: object) -> str:
        """The id of the next line that says this job, whose own id does not count, and that time, as it was spelled."""
        line = self._digest(f"{job.account}\n{content(job)}\n{expires_at}")
        self._seen[line] += 1
        return f"file_{self._digest(f'{line.hex()} {self._seen[line]}').hex()[:DIGITS]}"

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode(errors="surrogatepass"), "sha256")


def secret_for(settings: Settings, whole: bytes) -> bytes:
    """The secret for the file of these bytes. Raises StoreUnavailable."""
    url = redis_broker(settings) or settings.redis_url
    return (shared_secret(url) if url else None) or _stretched(whole)


def _stretched(whole: bytes) -> bytes:
    salt = b"callworker file ids"
    return hashlib.scrypt(
        whole, salt=salt, n=SCRYPT_COST, r=SCRYPT_BLOCK, p=1, maxmem=SCRYPT_MEMORY, dklen=32
    )
