"""Webhooks in the accounts file: their names, and where their secrets are."""

from __future__ import annotations

import base64
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from worker.configuration import ed25519
from worker.configuration.signing_secrets import Version
from worker.core.accounts import Accounts
from worker.core.endpoints import Endpoint
from worker.errors import ConfigurationError

URL = "https://h.example.com/x"
SECRET = "whsec_" + base64.b64encode(b"tulip" * 5).decode()
PRIVATE = "whsk_" + base64.b64encode(b"p" * 32).decode()


def accounts(*hooks: dict[str, Any]) -> Accounts:
    table = {"api_key_env": "K", "rate": "1/s", "webhooks": list(hooks)}
    return Accounts.parse({"accounts": {"acme": table}})


def complaint(*hooks: dict[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as refused:
        accounts(*hooks)
    return str(refused.value)


def test_key_of_a_webhook_is_its_name_or_the_hash_of_its_url() -> None:
    """The URL, which may hold a token, is needed nowhere. What waits under the hash is found after naming it."""
    nameless, named = (
        Endpoint(url=URL, secret_env=("S",)),
        Endpoint(url=URL, secret_env=("S",), name="orders"),
    )
    assert len(nameless.key) == 12 and nameless.keys == (nameless.key,)
    assert named.key == "orders" and named.keys == ("orders", nameless.key)


def test_names_differ_within_an_account() -> None:
    """A name may not occur twice, nor be the hash of another endpoint's URL."""
    one = {"url": URL, "secret_env": "S", "name": "orders"}
    assert "different names" in complaint(one, {**one, "url": f"{URL}/2"})
    key = Endpoint(url=URL, secret_env=("S",)).key
    assert "different names" in complaint(
        {"url": URL, "secret_env": "S"}, {**one, "url": f"{URL}/2", "name": key}
    )
    assert accounts(one, {**one, "url": f"{URL}/2", "name": "bills"})


def test_webhook_is_strict_unless_it_says_otherwise() -> None:
    """Only https, port 443 and public addresses; at most 4 requests at once, and no rate."""
    plain = Endpoint(url=URL, secret_env=("S",))
    assert (plain.allow_insecure, plain.allow_ports, plain.allow_networks) == (False, (), ())
    assert (plain.concurrency, plain.rate) == (4, None)


def test_exceptions_and_limits_of_a_webhook_are_read() -> None:
    """Ports as numbers, networks of both kinds of addresses, a rate as an account has it."""
    fields = {"allow_ports": [8443], "allow_networks": ["10.1.0.0/16", "fd00:1::/64"], "rate": "5/s"}
    hook = accounts({"url": URL, "secret_env": "S", "concurrency": 100, **fields})["acme"].webhooks[0]
    assert hook.allow_ports == (8443,) and hook.rate == "5/s" and hook.concurrency == 100
    assert hook.allow_networks == (ip_network("10.1.0.0/16"), ip_network("fd00:1::/64"))


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("concurrency", 0, "greater than or equal to 1"),
        ("concurrency", 101, "less than or equal to 100"),
        ("concurrency", "4", "valid integer"),
        ("rate", "5", 'such as "5/s"'),
        ("allow_insecure", "yes", "valid boolean"),
        ("allow_ports", [0], "greater than or equal to 1"),
        ("allow_ports", [65_536], "less than or equal to 65535"),
        ("allow_networks", ["10.1.0.1/16"], "must be a network such as 10.1.0.0/16"),
        ("allow_networks", ["example.com"], "must be a network such as 10.1.0.0/16"),
        ("allow_networks", [10], "must be a network such as 10.1.0.0/16"),
    ],
)
def test_wrong_exception_or_limit_is_refused_with_the_rule(field: str, value: object, rule: str) -> None:
    """The line names the webhook and the field."""
    told = complaint({"url": URL, "secret_env": "S", field: value})
    assert f"accounts.acme.webhooks.0.{field}" in told and rule in told


@pytest.mark.parametrize("name", ["", "a b", "-a", "ä", "a/b", "x" * 65, SECRET])
def test_wrong_name_is_refused_and_not_shown(name: str) -> None:
    """A name can be typed in any shell; a secret in its place is not repeated."""
    told = complaint({"url": URL, "secret_env": "S", "name": name})
    assert "accounts.acme.webhooks.0.name: must have 1 to 64 characters" in told and SECRET not in told


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({}, "exactly one of secret_env and secret_file"),
        ({"secret_env": "S", "secret_file": "/run/s"}, "exactly one of secret_env and secret_file"),
        ({"secret_file": SECRET}, "must be the path of a file, not its content"),
        ({"secret_env": "S", "signatures": []}, "at least 1"),
        ({"secret_env": "S", "signatures": ["v2"]}, "'v1' or 'v1a'"),
    ],
    ids=["no source", "two sources", "content", "no signature", "unknown signature"],
)
def test_wrong_secrets_are_refused_with_the_rule(fields: dict[str, Any], rule: str) -> None:
    """The line names the webhook and what is allowed."""
    told = complaint({"url": URL, **fields})
    assert "accounts.acme.webhooks.0" in told and rule in told and SECRET not in told


def test_new_fields_do_not_change_the_digest_of_a_file_without_them() -> None:
    """Workers before and after an upgrade agree that they have the same file (B7)."""
    hook = {"url": URL, "secret_env": "S"}
    assert accounts(hook).digest == accounts({**hook, "signatures": ["v1"]}).digest
    assert accounts(hook).digest == "3d29a9b3af64f53a"


def test_secrets_of_a_file_are_all_given_and_all_hidden(tmp_path: Path) -> None:
    """A file gives its expired secrets too, because they must still be in no log line."""
    file = tmp_path / "secrets"
    old = "whsec_" + base64.b64encode(b"o" * 24).decode()
    file.write_text(f"{SECRET}\n{old} until 2020-01-01T00:00:00Z\n")
    found = accounts({"url": URL, "secret_file": str(file)})
    assert [one.key for one in found["acme"].webhooks[0].secrets({})] == [b"tulip" * 5, b"o" * 24]
    assert found.secrets({"K": "key-of-acme"}) == ["key-of-acme", SECRET, old]


def test_wrong_file_is_told_with_its_lines(tmp_path: Path) -> None:
    """One line for each fault, with account, file and line, and without the secret."""
    file = tmp_path / "secrets"
    found = accounts({"url": URL, "secret_file": str(file)})
    with pytest.raises(ConfigurationError, match=f"account acme: the secret_file {file} does not exist"):
        found.secrets({"K": "key"})
    file.write_text("whsec_abc\nwhsec_def\n")
    with pytest.raises(ConfigurationError) as refused:
        found.secrets({"K": "key"})
    assert len(refused.value.problems) == 2 and "whsec_abc" not in str(refused.value)
    assert refused.value.problems[1].startswith(f"account acme: the secret_file {file}: line 2 ")


@pytest.mark.parametrize(
    ("signatures", "text", "problems"),
    [
        (["v1"], SECRET, []),
        (["v1a"], PRIVATE, []),
        (["v1", "v1a"], f"{PRIVATE}\n{SECRET}", []),
        (["v1"], f"{SECRET}\n{PRIVATE}", ["line 2 holds a whsk_… private key; it needs v1a in signatures"]),
        (["v1", "v1a"], SECRET, ["holds no whsk_… private key, which v1a in signatures needs"]),
        (["v1a"], SECRET, ["line 1 holds a whsec_… secret; it needs v1", "holds no whsk_… private key"]),
    ],
    ids=["v1", "v1a", "both", "key too many", "key missing", "other kind"],
)
def test_each_kind_of_signature_has_a_secret(
    tmp_path: Path, signatures: list[str], text: str, problems: list[str]
) -> None:
    """A choice without its key, or a key without its choice, is an error at the start, not at the first event."""
    file = tmp_path / "secrets"
    file.write_text(text)
    endpoint = Endpoint.model_validate({"url": URL, "secret_file": str(file), "signatures": signatures})
    if not problems:
        assert {one.version for one in endpoint.secrets({})} == set(endpoint.signatures)
        return
    with pytest.raises(ConfigurationError) as refused:
        endpoint.secrets({})
    assert len(refused.value.problems) == len(problems)
    assert all(part in line for part, line in zip(problems, refused.value.problems, strict=True))


def test_private_key_may_be_in_the_environment() -> None:
    """Beside a secret, each in a variable of its own."""
    endpoint = Endpoint(url=URL, secret_env=("S", "P"), signatures=(Version.V1, Version.V1A))
    found = endpoint.secrets({"S": SECRET, "P": f"{PRIVATE}\n"})
    assert [(one.version, one.source) for one in found] == [
        (Version.V1, "environment variable S"),
        (Version.V1A, "environment variable P"),
    ]


def test_missing_package_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first event, and only where there is a private key."""
    ed25519._loaded.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    endpoint = Endpoint(url=URL, secret_env=("Q",), signatures=(Version.V1A,))
    other = "whsk_" + base64.b64encode(b"q" * 64).decode()
    with pytest.raises(
        ConfigurationError, match=r"variable Q needs the package cryptography: .*callworker\[ed25519\]"
    ):
        endpoint.secrets({"Q": other})
    assert Endpoint(url=URL, secret_env=("S",)).secrets({"S": SECRET})
