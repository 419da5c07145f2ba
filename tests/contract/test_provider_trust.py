"""Whose certificates the provider's client trusts, and what it says of why a request came to nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.contract.provider_caller import JOB, KEY, LONG, Caller
from tests.contract.scripted_provider import (
    REF,
    Peer,
    Play,
    Script,
    answers,
    answers_once,
    in_turn,
    over_tls,
    reply,
)
from tests.processes import free_port
from worker.errors import (
    Cause,
    Misconfigured,
)
from worker.http import addresses
from worker.network import trust
from worker.provider import CallResult, Connections

pytest_plugins = ["tests.contract.provider_fixtures"]


def test_self_signed_certificate_is_misconfigured(play: Play, certificate: Path) -> None:
    """A certificate that nobody vouches for: nothing is sent, nobody tries again, and the operator can see it."""
    provider = play(over_tls(answers(reply()), certificate))
    caller = Caller(f"https://127.0.0.1:{provider.port}")
    error = caller.fails()
    assert isinstance(error, Misconfigured) and not error.sent and "self-signed" in error.message
    assert error.cause is Cause.TLS
    assert (provider.requests, caller.gates) == ([], 0)
    assert caller.observed == [("acme", CallResult.MISCONFIGURED)]


def test_certificate_of_another_host_is_misconfigured(
    play: Play, foreign_certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trusted certificate for another name is refused as well."""
    monkeypatch.setattr(trust, "DEFAULT_CA_BUNDLE_PATH", str(foreign_certificate))
    provider = play(over_tls(answers(reply()), foreign_certificate))
    error = Caller(f"https://127.0.0.1:{provider.port}").fails()
    assert isinstance(error, Misconfigured) and not error.sent
    assert provider.requests == []


def test_authority_of_the_operators_own_is_trusted(play: Play, certificate: Path) -> None:
    """PROXSTOP_CA_FILE names certificates beside the public ones (C10)."""
    provider = play(over_tls(answers(reply()), certificate))
    connections = Connections(ca_file=certificate)
    assert Caller(f"https://127.0.0.1:{provider.port}", connections=connections).call() == REF


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_variable_of_openssl_is_heeded(
    play: Play, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Authorities that the whole machine trusts are trusted here (C10)."""
    found = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", certificate], check=True, capture_output=True, text=True
    )
    (tmp_path / f"{found.stdout.strip()}.0").symlink_to(certificate)
    monkeypatch.setenv(variable, str(certificate if variable == "SSL_CERT_FILE" else tmp_path))
    provider = play(over_tls(answers(reply()), certificate))
    assert Caller(f"https://127.0.0.1:{provider.port}").call() == REF


def cause_of(caller: Caller) -> tuple[Cause | None, str]:
    error = caller.fails()
    assert KEY not in str(error) and JOB.phone not in str(error)
    return error.cause, error.message


@pytest.mark.parametrize(
    ("script", "cause", "word"),
    [
        (
            in_turn(lambda peer: peer.sock.recv(9), Peer.reset),
            Cause.TLS,
            "in the TLS handshake: tls, ConnectionResetError",
        ),
        (in_turn(Peer.request, Peer.reset), Cause.CONNECT, "ConnectionResetError: Connection reset by peer"),
        (answers_once(b"phone=2125550199&code=48213\r\n\r\n"), Cause.PROTOCOL, "BadStatusLine"),
        (answers_once(reply()[:-1]), Cause.PROTOCOL, "IncompleteRead"),
        (answers_once(reply(b"<response/>")), Cause.PROTOCOL, "cannot be read"),
        (in_turn(Peer.request, Peer.stay_silent), Cause.TIMEOUT, "TimeoutError"),
    ],
    ids=["tls", "reset", "no http", "cut short", "unreadable", "silence"],
)
def test_failed_request_says_why(play: Play, script: Script, cause: Cause, word: str) -> None:
    """The cause is one of five, and the library's own word is beside it, without what was sent or came (C10)."""
    scheme, seconds = "https" if cause is Cause.TLS else "http", 1 if cause is Cause.TIMEOUT else LONG
    caller = Caller(f"{scheme}://127.0.0.1:{play(script).port}", timeout_seconds=seconds)
    found, message = cause_of(caller)
    assert found is cause
    assert word in message


def test_unknown_name_and_closed_port_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that the name has no address, or that nobody listens (C10)."""
    found, message = cause_of(Caller(f"http://127.0.0.1:{free_port()}"))
    assert (found, message.endswith("ConnectionRefusedError: Connection refused")) == (Cause.CONNECT, True)
    monkeypatch.setattr(addresses, "getaddrinfo", lambda *_: [])
    assert cause_of(Caller("http://provider.invalid"))[0] is Cause.NAME
