"""Files of certificates: a useless one is reported at start, with the name of its setting."""

from __future__ import annotations

from pathlib import Path

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from worker.errors import ConfigurationError
from worker.network import trust
from worker.preflight.checks import check_certificates
from worker.settings import Settings

PUBLIC = Path(DEFAULT_CA_BUNDLE_PATH)
ACCOUNTS = """
[accounts.acme]
api_key_env = "KEY"
rate = "60/m"
[[accounts.acme.webhooks]]
url = "https://hooks.example.com/calls"
secret_env = "SECRET"
ca_file = "{ca_file}"
"""


def useless(folder: Path) -> dict[Path, str]:
    """Files that hold no certificate, and what is said of each."""
    empty, text, damaged = folder / "empty.pem", folder / "text.pem", folder / "damaged.pem"
    empty.touch()
    text.write_bytes(b"\xff\xfenot a certificate")
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    none = "holds no certificate in PEM form"
    return {
        folder / "missing.pem": "does not exist", folder: "is not a file", empty: none, text: none, damaged: none
    }  # fmt: skip


def settings(tmp_path: Path, **environ: str) -> Settings:
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(ACCOUNTS.format(ca_file=environ.pop("ca_file", PUBLIC)))
    return Settings.from_env({"ACCOUNTS_FILE": str(accounts), **environ})


def problems(tmp_path: Path, environ: dict[str, str], **more: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        check_certificates(settings(tmp_path, **more), environ)
    return caught.value.problems


def test_file_of_no_use_stops_the_start_by_its_name(tmp_path: Path) -> None:
    """One line names the variable, or the account and its webhook, and what is wrong with the file (C10)."""
    for file, said in useless(tmp_path).items():
        assert problems(tmp_path, {}, PROXSTOP_CA_FILE=str(file)) == (f"PROXSTOP_CA_FILE: {file} {said}",)
        assert problems(tmp_path, {"SSL_CERT_FILE": str(file)}) == (f"SSL_CERT_FILE: {file} {said}",)
        assert problems(tmp_path, {}, ca_file=str(file)) == (
            f"accounts.acme.webhooks.0.ca_file: {file} {said}",
        )


def test_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A missing folder is reported; without it no server would be trusted, and nobody would know why (C10)."""
    assert problems(tmp_path, {"SSL_CERT_DIR": "/no/such/folder"}) == (
        "SSL_CERT_DIR: names no folder that exists",
    )


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Three wrong files are three lines (C10)."""
    wrong = str(tmp_path / "missing.pem")
    assert len(problems(tmp_path, {"SSL_CERT_FILE": wrong}, PROXSTOP_CA_FILE=wrong, ca_file=wrong)) == 3


def test_good_files_pass(tmp_path: Path) -> None:
    """Each of them holds a certificate (C10)."""
    environ = {"SSL_CERT_FILE": str(PUBLIC), "SSL_CERT_DIR": f"/no/such/folder:{tmp_path}"}
    check_certificates(settings(tmp_path, PROXSTOP_CA_FILE=str(PUBLIC)), environ)


def test_certificates_of_the_variable_replace_the_public_ones(tmp_path: Path) -> None:
    """Certificates of the variable replace the public ones, as in OpenSSL; an operator's file is added (C10)."""
    one = tmp_path / "one.pem"
    one.write_text(
        PUBLIC.read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    )
    counts = [
        trust.context(ca_file, "X", environ).cert_store_stats()["x509"]
        for ca_file, environ in ((None, {}), (None, {"SSL_CERT_FILE": str(one)}), (one, {}))
    ]
    assert counts[0] == counts[2] > counts[1] == 1
