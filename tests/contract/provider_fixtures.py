"""Fixtures of the tests of the provider's client: scripted providers, certificates, a deaf port, a clock."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.scripted_provider import Play, Script, ScriptedProvider, make_certificate
from tests.processes import absent
from worker.http import connection, phases
from worker.network import trust


@pytest.fixture
def play() -> Iterator[Play]:
    """Starts providers that live as long as the test."""
    started: list[ScriptedProvider] = []

    def start(*scripts: Script) -> ScriptedProvider:
        started.append(ScriptedProvider(list(scripts)).__enter__())
        return started[-1]

    yield start
    for provider in started:
        provider.__exit__(None, None, None)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1") or absent("the openssl tool")


@pytest.fixture(scope="session")
def foreign_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for another host."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "DNS:other.example") or absent("the openssl tool")


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate for 127.0.0.1, trusted by clients made after."""
    for variable in (trust.FILE_VARIABLE, trust.FOLDER_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(trust, "DEFAULT_CA_BUNDLE_PATH", str(certificate))
    return certificate


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that a further one gets no answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


@pytest.fixture
def pass_seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the client's clock forward."""
    ahead = [0.0]
    for module in (connection, phases):
        monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + ahead[0])

    def advance(seconds: float) -> None:
        ahead[0] += seconds

    return advance
