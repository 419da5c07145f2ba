"""Certificates of the test run's own authority, and a door on loopback that speaks TLS in front of a server."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.processes import absent


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority; clients that trust `pair.certificate` trust every certificate that it issues."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self.pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-out", self.pair.certificate, "-keyout", self.pair.key,
        )  # fmt: skip

    def issue(self, name: str, subject: str = "DNS:localhost,IP:127.0.0.1,IP:::1") -> Pair:
        """Issue a certificate for the alternative names `subject`; its files are called `name`."""
        made = Pair(self._folder / f"{self._name}-{name}.pem", self._folder / f"{self._name}-{name}.key")
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject}",
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-CA", self.pair.certificate, "-CAkey", self.pair.key, "-out", made.certificate, "-keyout", made.key,
        )  # fmt: skip
        return made


def issue_expired(authority: Authority, path: Path) -> Pair:
    """Issue a certificate for 127.0.0.1 that ended yesterday; the openssl tool cannot do that everywhere."""
    issuer = x509.load_pem_x509_certificate(authority.pair.certificate.read_bytes())
    signer: Any = serialization.load_pem_private_key(authority.pair.key.read_bytes(), None)
    key, yesterday = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC) - timedelta(days=1)
    name = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(
        issuer.subject, x509.Name([]), key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(yesterday - timedelta(days=1)).not_valid_after(yesterday)
    made = builder.add_extension(name, critical=True).sign(signer, hashes.SHA256())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pair = Pair(path, path.with_suffix(".key"))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pair


def _openssl(*words: str | Path) -> None:
    tool = shutil.which("openssl") or absent("the openssl tool")
    subprocess.run([tool, *map(str, words)], check=True, capture_output=True)


class TlsDoor:
    """Accepts TLS on a port of its own and forwards the decrypted bytes to `target`. A context manager.

    With `clients` it requires a client certificate of that authority. `names` are the server names that clients named.
    """

    def __init__(self, target: int, pair: Pair, clients: Authority | None = None) -> None:
        self._target, self.names = target, list[str | None]()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.certificate, pair.key)
        self._context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        if clients is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(clients.pair.certificate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._forward, "127.0.0.1", 0, ssl=self._context)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port: int = server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(_pour(reader, inner_writer), _pour(inner_reader, writer))


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
