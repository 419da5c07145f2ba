"""Serves metrics, and answers whether this process is live and ready.

    GET /metrics   Prometheus text, or OpenMetrics for a client that accepts it
    GET /livez     200 "ok", or 503 and a line for each reason to restart the process
    GET /readyz    200 "ok", or 503 and a line for each reason why no job gets through

`worker/telemetry/pages.py` has the HTTP server, and says what slow clients may do.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from http import HTTPStatus

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder

from worker.errors import ConfigurationError
from worker.telemetry.pages import BACKLOG, Bounds, PageServer
from worker.telemetry.views import PLAIN, Page

Problems = Callable[[], list[str]]

log = structlog.get_logger(__name__)


class HealthServer:
    """Serves `registry`, and the problems that `live` and `ready` return; none means that all is well.

    Each is called in its own thread, once for all clients that ask at that moment. One that raises counts as a problem.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        live: Problems,
        ready: Problems,
        *,
        bounds: Bounds | None = None,
    ) -> None:
        self._host, self._port = host, port
        self._server = PageServer(
            {
                "/metrics": _Exposition(registry),
                "/livez": _Verdict(live),
                "/readyz": _Verdict(ready),
            },
            bounds or Bounds(),
        )

    @property
    def port(self) -> int:
        """The port that the server listens on once it is started. A setting of 0 becomes a free port."""
        return self._port

    def start(self) -> None:
        """Listen, and serve in daemon threads. Raises ConfigurationError if the address cannot be used."""
        listening = _bind(self._host, self._port)
        self._port = listening.getsockname()[1]
        self._server.start(listening)

    def stop(self) -> None:
        """Stop listening. Does nothing if it was never started."""
        self._server.stop()


class _Exposition:
    """The metrics, in the text format that a client asks for: OpenMetrics with exemplars, or the older text."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def form(self, accept: str) -> str:
        """Return the content type."""
        try:
            return choose_encoder(accept)[1]
        except Exception:  # the library does not expect a version that is no number
            return CONTENT_TYPE_PLAIN_0_0_4

    def make(self, form: str) -> Page:
        encode, content_type = choose_encoder(form)
        try:
            return Page(
                HTTPStatus.OK, content_type, encode(self._registry), "Vary: Accept, Accept-Encoding\r\n"
            )
        except Exception:  # one broken collector must not silence the server
            log.exception("health.scrape_failed")
            return Page(HTTPStatus.INTERNAL_SERVER_ERROR, PLAIN, b"the metrics cannot be read; see the log\n")


class _Verdict:
    """Whether there are problems, always in the same form."""

    def __init__(self, check: Problems) -> None:
        self._check = check

    def form(self, accept: str) -> str:  # noqa: ARG002
        return PLAIN

    def make(self, form: str) -> Page:
        try:
            problems = self._check()
        except Exception as error:  # a check that fails is a problem too
            log.exception("health.check_failed")
            problems = [f"the check failed: {type(error).__name__}"]
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        return Page(status, form, "".join(f"{line}\n" for line in problems or ["ok"]).encode())


def _bind(host: str, port: int) -> socket.socket:
    try:
        return _listening(host, port)
    except socket.gaierror as error:
        raise ConfigurationError(_foreign(host)) from error
    except (OSError, OverflowError) as error:
        raise ConfigurationError(_unusable(host, port, error)) from error


def _listening(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _foreign(host: str) -> str:
    return (
        f"METRICS_HOST: {host} is not an address of this machine; "
        "allowed is one of its names or addresses, such as 127.0.0.1 or 0.0.0.0"
    )


def _unusable(host: str, port: int, problem: Exception) -> str:
    code = problem.errno if isinstance(problem, OSError) else None
    if code == errno.EADDRINUSE:
        return (
            f"METRICS_PORT: port {port} on {host} is in use, perhaps by another worker on this machine; "
            "choose another from 1 to 65535"
        )
    if code == errno.EADDRNOTAVAIL:
        return _foreign(host)
    return f"METRICS_PORT: cannot listen on port {port} of {host}: {problem}; choose another from 1 to 65535"
