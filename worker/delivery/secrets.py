"""The secrets of endpoints. A changed file of secrets is read again; one that cannot be used changes nothing."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from worker.configuration.signing_secrets import SigningSecret
from worker.configuration.textfiles import Mark, mark
from worker.core.endpoints import Endpoint
from worker.errors import ConfigurationError

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""The shortest time between two looks at a file."""


@dataclass(slots=True)
class _Watched:
    """The secrets that were last read from a file, and its state then. `problem` says why a newer one is not used."""

    secrets: tuple[SigningSecret, ...]
    mark: Mark | None
    looked_at: float
    problem: str | None = None


class Secrets:
    """Returns the secrets that sign an endpoint's events. For the one thread that delivers; any thread may `load`.

    Variables are read each time. A file is read once, and again after it has changed. If a changed file cannot be used,
    the secrets that were read before continue to sign, each until its end. The log reports each such problem once.

    Known weakness: a file is read in the thread of all deliveries, so a file system that hangs delays them.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        *,
        register: Callable[[str], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`register` is called with each spelling of each secret in a file, before the secret is used."""
        self._environ, self._register, self._clock = environ, register, clock
        self._files: dict[Endpoint, _Watched] = {}

    def load(self, endpoints: Iterable[Endpoint]) -> None:
        """Read the files of `endpoints`, so that each has secrets to keep if it breaks, and forget all others.

        A file that was read before is read again when its endpoint is used next, whether it has changed or not. Raises
        ConfigurationError for a new one that cannot be used; then nothing has changed.
        """
        files: dict[Endpoint, _Watched] = {}
        for endpoint in endpoints:
            if endpoint.secret_file is not None:
                files[endpoint] = self._files.get(endpoint) or self._first(endpoint, endpoint.secret_file)
        for watched in list(self._files.values()):
            watched.looked_at, watched.mark = -math.inf, None
        self._files = files

    def of(self, endpoint: Endpoint, unix_seconds: float) -> tuple[SigningSecret, ...]:
        """Return the secrets that sign at this time.

        Raises ConfigurationError for a variable that cannot be used, for a file that could never be read, and if all
        secrets have expired.
        """
        known = (
            endpoint.secrets(self._environ)
            if endpoint.secret_file is None
            else self._watched(endpoint, endpoint.secret_file)
        )
        current = tuple(secret for secret in known if secret.signs_at(unix_seconds))
        if not current:
            raise ConfigurationError(f"secret_file {endpoint.secret_file}: every secret in it has expired")
        return current

    def _watched(self, endpoint: Endpoint, path: Path) -> tuple[SigningSecret, ...]:
        watched = self._files.get(endpoint)
        if watched is None:
            watched = self._files[endpoint] = self._first(endpoint, path)
        elif self._clock() - watched.looked_at >= LOOK_SECONDS:
            self._look(endpoint, path, watched)
        return watched.secrets

    def _first(self, endpoint: Endpoint, path: Path) -> _Watched:
        seen = mark(path)
        return _Watched(self._read(endpoint), seen, self._clock())

    def _look(self, endpoint: Endpoint, path: Path, watched: _Watched) -> None:
        watched.looked_at = self._clock()
        seen = mark(path)
        if seen is not None and seen == watched.mark and watched.problem is None:
            return
        try:
            found = self._read(endpoint)
        except ConfigurationError as error:
            _tell_problem(endpoint, watched, str(error))
            return
        if watched.problem is not None or found != watched.secrets:
            log.info("webhook.secrets_read", endpoint=endpoint.key, count=len(found))
        watched.secrets, watched.mark, watched.problem = found, seen, None

    def _read(self, endpoint: Endpoint) -> tuple[SigningSecret, ...]:
        found = endpoint.secrets(self._environ)
        for secret in found:
            for text in secret.spellings:
                self._register(text)
        return found


def _tell_problem(endpoint: Endpoint, watched: _Watched, problem: str) -> None:
    if problem != watched.problem:
        log.error("webhook.secrets_kept", endpoint=endpoint.key, problem=problem)
    watched.problem = problem
