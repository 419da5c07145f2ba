"""Which certificates of endpoints are trusted: those of the public authorities and of the endpoint's own `ca_file`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.doubles.subscribers import BODY, Subscriber, answering, local_endpoint, subscriber
from tests.tls import Authority, Pair, TlsDoor, issue_expired
from worker.delivery.ports import Attempt, AttemptResult
from worker.delivery.secrets import Secrets
from worker.delivery.webhooks import WebhookSender
from worker.errors import Cause

ENVIRON = {"S": "whsec_" + "bm5u" * 8}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture
def server() -> Iterator[Subscriber]:
    with subscriber(answering("200 OK")) as server:
        yield server


def attempt(server: Subscriber, pair: Pair, ca_file: Path | None, host: str = "127.0.0.1") -> Attempt:
    """An attempt at the server behind a door with this certificate."""
    port = int(server.url.split(":")[2].partition("/")[0])
    with TlsDoor(port, pair) as door, closing(WebhookSender(Secrets(ENVIRON))) as sender:
        endpoint = local_endpoint(f"https://{host}:{door.port}/hook", secret_env=("S",), ca_file=ca_file)
        return sender.send(endpoint, "evt_1", BODY, 1_800_000_000)


def test_certificate_of_the_endpoints_authority_is_trusted(server: Subscriber, authority: Authority) -> None:
    """For its name and for its address."""
    good = authority.issue("good")
    for host in ("127.0.0.1", "localhost"):
        assert attempt(server, good, authority.pair.certificate, host).result is AttemptResult.DELIVERED


def test_wrong_certificate_is_refused_before_the_event_is_sent(
    server: Subscriber, authority: Authority, tmp_path: Path
) -> None:
    """Another name, a date that has passed, an authority that nobody named; the attempt says which."""
    trusted = authority.pair.certificate
    attempts = [
        attempt(server, authority.issue("other", "DNS:other.example"), trusted),
        attempt(server, issue_expired(authority, tmp_path / "expired.pem"), trusted),
        attempt(server, authority.issue("good"), None),
        attempt(server, authority.issue("good"), Authority(tmp_path, "foreign").pair.certificate),
    ]
    assert {(one.result, one.cause) for one in attempts} == {(AttemptResult.UNREACHABLE, Cause.TLS)}
    words = ("mismatch", "expired", "unable to get local issuer", "")
    assert all(word in (one.problem or "") for word, one in zip(words, attempts, strict=True))
    assert server.requests == []
