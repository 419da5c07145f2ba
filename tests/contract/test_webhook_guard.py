"""The guard in front of real sockets: what is connected to, and what is not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.doubles.subscribers import BODY, answering, local_endpoint, subscriber
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Attempt, AttemptResult
from worker.delivery.secrets import Secrets
from worker.delivery.webhooks import WebhookSender
from worker.http import addresses

ENVIRON = {"S": "whsec_" + "bm5u" * 8}


@pytest.fixture
def sender() -> Iterator[WebhookSender]:
    with closing(WebhookSender(Secrets(ENVIRON), connect_seconds=5, total_seconds=5)) as sender:
        yield sender


def send(sender: WebhookSender, url: str, **fields: Any) -> Attempt:
    endpoint = Endpoint.model_validate({"url": url, "secret_env": "S", **fields})
    return sender.send(endpoint, "evt_1", BODY, 1_800_000_000)


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let each lookup of a name give the next of these lists of addresses. Returns the names that are looked up."""
    asked, left = list[str](), list(answers)

    def getaddrinfo(host: str, port: int, *_: object) -> list[Any]:
        asked.append(host)
        return [
            entry for text in left.pop(0) for entry in socket.getaddrinfo(text, port, 0, socket.SOCK_STREAM)
        ]

    monkeypatch.setattr(addresses, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ("127.0.0.1", "loopback"),
        ("2130706433", "loopback"),
        ("017700000001", "loopback"),
        ("0x7f000001", "loopback"),
        ("0177.0.0.1", "loopback"),
        ("0x7f.1", "loopback"),
        ("127.1", "loopback"),
        ("127.0.1", "loopback"),
        ("localhost", "loopback"),
        ("LOCALHOST", "loopback"),
        ("[::1]", "loopback"),
        ("[0:0:0:0:0:0:0:1]", "loopback"),
        ("[::ffff:127.0.0.1]", "mapped"),
        ("[::ffff:7f00:1]", "mapped"),
        ("[::127.0.0.1]", "mapped"),
        ("[64:ff9b::127.0.0.1]", "translated"),
        ("0", "unspecified"),
        ("0.0.0.0", "unspecified"),
        ("[::]", "unspecified"),
        ("10.0.0.1", "private"),
        ("0xa.1", "private"),
        ("167772161", "private"),
        ("192.168.257", "private"),
        ("169.254.169.254", "metadata"),
        ("2852039166", "metadata"),
        ("0xA9FEA9FE", "metadata"),
        ("[fd00:ec2::254]", "metadata"),
        ("[fd00:0EC2:0::0254]", "metadata"),
        ("[fe80::1]", "link-local"),
        ("255.255.255.255", "reserved"),
    ],
)  # fmt: skip
def test_forbidden_address_is_refused_in_every_spelling(sender: WebhookSender, host: str, rule: str) -> None:
    """What counts is what the spelling resolves to. A further attempt would end in the same way, so it says so."""
    attempt = send(sender, f"https://{host}/hook")
    assert (attempt.result, attempt.rule) == (AttemptResult.GUARDED, rule)
    assert (attempt.status, attempt.cause) == (None, None)


@pytest.mark.parametrize(
    "host", ["127.0.0.1.", "localhost.", "1.2.3.4.5", "0x7f.0.0.0.1", "4294967297.", "127.0.0.1.nip.invalid"]
)
def test_what_looks_like_an_address_and_is_none_reaches_nothing(sender: WebhookSender, host: str) -> None:
    """It is refused by the guard, or has no address."""
    assert send(sender, f"https://{host}/").result in (AttemptResult.GUARDED, AttemptResult.UNREACHABLE)


@pytest.mark.parametrize("host", ["\uff11\uff12\uff17.0.0.1", "\u24dbocalhost", "127\u30020\u30020\u30021"])
def test_address_in_other_digits_is_refused_with_the_accounts_file(host: str) -> None:
    """A URL has ASCII characters only, so that no library maps others to an address."""
    with pytest.raises(ValueError, match="characters outside ASCII"):
        Endpoint(url=f"https://{host}/", secret_env=("S",))


def test_scheme_and_port_are_refused_before_a_name_is_looked_up(
    sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody outside learns of a delivery that is not allowed."""
    asked = resolve(monkeypatch)
    assert send(sender, "http://hooks.example.com/").rule == "scheme"
    assert send(sender, "https://hooks.example.com:8443/").rule == "port"
    assert asked == []


def test_exceptions_let_an_event_through_and_each_is_needed(sender: WebhookSender) -> None:
    """Without one of the three nothing is connected to."""
    with subscriber(answering("200 OK")) as server:
        port = int(server.url.split(":")[2].partition("/")[0])
        fields = {"allow_insecure": True, "allow_ports": [port], "allow_networks": ["127.0.0.0/8"]}
        rules = [
            send(sender, server.url, **{k: v for k, v in fields.items() if k != name}).rule for name in fields
        ]
        assert rules == ["scheme", "port", "loopback"] and server.connections == 0
        assert send(sender, server.url, **fields).result is AttemptResult.DELIVERED


def test_kept_connection_serves_no_endpoint_with_other_rules(sender: WebhookSender) -> None:
    """An endpoint at the same address that may not be reached is refused, whatever the one before it may."""
    with subscriber(answering("200 OK")) as server:
        endpoint = local_endpoint(server.url, secret_env=("S",))
        strict = endpoint.model_copy(update={"allow_networks": ()})
        results = [sender.send(one, "evt_1", BODY, 1).result for one in (endpoint, strict, endpoint)]
        assert results == [AttemptResult.DELIVERED, AttemptResult.GUARDED, AttemptResult.DELIVERED]
        assert (server.connections, len(server.requests)) == (1, 2)


def test_only_the_allowed_addresses_of_a_name_are_connected_to(
    sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that has a forbidden address too is served by its others; one with forbidden ones alone is refused."""
    with subscriber(answering("200 OK")) as server:
        url = server.url.replace("127.0.0.1", "hooks.example.com")
        endpoint = local_endpoint(url, secret_env=("S",), allow_networks=["127.0.0.1/32"])
        resolve(monkeypatch, ["10.0.0.1", "127.0.0.1", "::1"], ["10.0.0.1", "127.0.0.2"])
        assert sender.send(endpoint, "evt_1", BODY, 1).result is AttemptResult.DELIVERED
        assert server.connections == 1
    other = local_endpoint(url, secret_env=("S",), allow_networks=["127.0.0.3/32"])
    attempt = sender.send(other, "evt_1", BODY, 1)
    assert (attempt.result, attempt.rule) == (AttemptResult.GUARDED, "private")


def test_name_has_a_bounded_number_of_addresses(
    sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To check thousands of them would hold up all other deliveries, so the first ones count."""
    endpoint = local_endpoint(
        "http://hooks.example.com:9", secret_env=("S",), allow_networks=["127.0.0.1/32"]
    )
    resolve(monkeypatch, ["10.0.0.1"] * addresses.MAX_ADDRESSES + ["127.0.0.1"] * 5000)
    assert sender.send(endpoint, "evt_1", BODY, 1).rule == "private"


def test_name_that_changes_between_two_lookups_reaches_nothing(
    sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that was checked is the one that is connected to: a name is looked up once for each connection."""
    with subscriber(answering("200 OK")) as inside:
        url = inside.url.replace("127.0.0.1", "hooks.example.com")
        endpoint = local_endpoint(url, secret_env=("S",), allow_networks=["127.0.0.9/32"])
        asked = resolve(monkeypatch, ["127.0.0.9"], ["127.0.0.1"])
        assert sender.send(endpoint, "evt_1", BODY, 1).result is AttemptResult.UNREACHABLE
        assert asked == ["hooks.example.com"] and inside.connections == 0
        assert sender.send(endpoint, "evt_1", BODY, 1).rule == "loopback"
        assert inside.connections == 0


def test_redirect_to_a_private_address_is_not_followed(sender: WebhookSender) -> None:
    """A 3xx is a failure, wherever it leads."""
    with (
        subscriber(answering("200 OK")) as inside,
        subscriber(answering("307 Go", f"location: {inside.url}")) as server,
    ):
        endpoint = local_endpoint(server.url, secret_env=("S",))
        assert sender.send(endpoint, "evt_1", BODY, 1).result is AttemptResult.REDIRECTED
        assert inside.connections == 0
