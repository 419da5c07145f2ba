"""An account whose webhooks are good and hostile, and one whose webhooks are only good, on one worker."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration import misbehaviour as bad
from tests.integration.doors import Answer, Door, Doors
from tests.tls import Authority, Pair

SECRETS = {
    f"HOOK_{n}": "whsec_" + base64.b64encode(f"a secret of sorts, number {n}".encode()).decode()
    for n in (1, 2)
}
FAST = {"rate": "2000/s", "burst": 1000}

FAILING: Mapping[str, Answer] = {
    "hangs": bad.hangs,
    "drips-head": bad.drips_head,
    "drips-body": bad.drips_body,
    "resets": bad.resets,
    "closes": bad.closes,
    "huge": bad.huge,
    "bomb": bad.bomb,
    "bursting": bad.bursting,
    "endless-header": bad.endless_header,
    "endless-line": bad.endless_line,
    "endless-chunks": bad.endless_chunks,
    "interim-flood": bad.interim_flood,
    "failing": bad.failing,
    "nonsense": bad.nonsense,
    "overloaded": bad.overloaded,
    "overloaded-until": bad.overloaded_until,
}
"""Receivers over plain HTTP that never take an event."""


class Crowd:
    """All the receivers. `refused` are the tables of webhooks that the guard lets nothing go to, by their rule."""

    def __init__(self, doors: Doors, folder: Path) -> None:
        ours, others = Authority(folder, "ours"), Authority(folder, "others")
        self._doors, self._ca_file = doors, str(ours.pair.certificate)
        self.good = {name: doors.open(name, bad.good) for name in ("good-1", "good-2")}
        self.good["good-tls"] = self._secure("good-tls", ours.issue("server"))
        self.lenient = {
            "slow": doors.open("slow", bad.slow),
            "odd-but-good": doors.open("odd-but-good", bad.odd_but_good),
        }
        self.unwilling = {
            "gone": doors.open("gone", bad.gone),
            "asked": doors.open("asked", bad.unwilling),
        }
        self.forbidden = doors.open("forbidden", bad.good)
        self.failing = {name: doors.open(name, answer) for name, answer in FAILING.items()}
        self.failing["redirects"] = doors.open("redirects", bad.redirects(self.forbidden.url))
        self.failing["unread"] = doors.open("unread", bad.closes, reads=False)
        self.untrusted = {
            "self-signed": self._secure("self-signed", others.issue("server")),
            "expired": self._secure("expired", expired(ours, folder)),
            "wrong-name": self._secure("wrong-name", ours.issue("other", "DNS:other.example")),
        }

    @property
    def tables(self) -> list[dict[str, Any]]:
        """The webhooks of the account with everything in it."""
        plain = [*self.lenient.values(), *self.failing.values(), *self.unwilling.values()]
        return [
            *self.tables_of_good(),
            *(door.hook() for door in plain),
            *(door.hook(ca_file=self._ca_file) for door in self.untrusted.values()),
            *self.refused.values(),
        ]

    def tables_of_good(self) -> list[dict[str, Any]]:
        return [door.hook(ca_file=self._ca_file) for door in self.good.values()]

    @property
    def refused(self) -> dict[str, dict[str, Any]]:
        """Webhooks to a receiver that must not be reached, each with a name that begins with the rule against it."""
        port = self.forbidden.port
        allowed = {"allow_insecure": True, "allow_ports": [port], "secret_env": "HOOK_1"}
        inside = {"allow_networks": ["127.0.0.0/8"]}
        spelled = ("127.0.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "localhost")
        found = [("loopback", host, allowed) for host in spelled]
        found += [("mapped", "[::ffff:127.0.0.1]", allowed), ("unspecified", "0.0.0.0", allowed)]
        found += [("scheme", "127.0.0.1", allowed | inside | {"allow_insecure": False})]
        found += [("port", "127.0.0.1", allowed | inside | {"allow_ports": []})]
        return {
            f"{rule}-{n}": {"name": f"{rule}-{n}", "url": f"http://{host}:{port}/{n}", **fields}
            for n, (rule, host, fields) in enumerate(found)
        }

    def _secure(self, name: str, pair: Pair) -> Door:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        return self._doors.open(name, bad.good, tls=context)


def expired(authority: Authority, folder: Path) -> Pair:
    """Issue a certificate whose time is over."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    issuer = x509.load_pem_x509_certificate(authority.pair.certificate.read_bytes())
    signer = serialization.load_pem_private_key(authority.pair.key.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=True)
        .sign(signer, hashes.SHA256())
    )
    pair = Pair(folder / "expired.pem", folder / "expired.key")
    pair.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pair
