"""Chooses the certificates that are trusted over HTTPS, for the provider and for receivers of webhooks.

These are the public ones of the package `certifi`, or those that SSL_CERT_FILE or SSL_CERT_DIR names, as for OpenSSL.
A file of the operator can add others, for example those of a private authority.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from worker.errors import ConfigurationError

FILE_VARIABLE, FOLDER_VARIABLE = "SSL_CERT_FILE", "SSL_CERT_DIR"


def context(ca_file: Path | None, setting: str, environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Make a client's context that verifies chain and name. Make it once: reading the certificates takes long.

    Raises ConfigurationError, which names `setting` or the variable, for a file that cannot be used.
    """
    files, folder = _public(environ)
    made = ssl.create_default_context(cafile=files, capath=folder)
    made.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        check(ca_file, setting)
        made.load_verify_locations(cafile=ca_file)
    return made


def check_public(environ: Mapping[str, str] = os.environ) -> None:
    """Raise ConfigurationError if a variable names a file or folder that cannot be used."""
    _public(environ)


def check(ca_file: Path, setting: str) -> None:
    """Raise ConfigurationError, which begins with `setting`, for a file without a certificate."""
    try:
        if not ca_file.is_file():
            raise ConfigurationError(
                f"{setting}: {ca_file} {'is not a file' if ca_file.exists() else 'does not exist'}"
            )
        probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        probe.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        raise ConfigurationError(f"{setting}: {ca_file} holds no certificate in PEM form") from None
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "is not a path"
        raise ConfigurationError(f"{setting}: {ca_file} cannot be read: {cause}") from None
    if not probe.cert_store_stats()["x509"]:
        raise ConfigurationError(f"{setting}: {ca_file} holds no certificate in PEM form")


def _public(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The file and the folder of the authorities that are always trusted."""
    file, folder = environ.get(FILE_VARIABLE, "").strip(), environ.get(FOLDER_VARIABLE, "").strip()
    if file:
        check(Path(file), FILE_VARIABLE)
    if folder and not any(Path(part).is_dir() for part in folder.split(os.pathsep)):
        raise ConfigurationError(f"{FOLDER_VARIABLE}: names no folder that exists")
    if file or folder:
        return file or None, folder or None
    return DEFAULT_CA_BUNDLE_PATH, None
