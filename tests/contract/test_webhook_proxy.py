"""Webhooks through a proxy: what it is asked, what the guard still sees, and whose fault a failure is."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import gevent
import pytest

from tests.doubles.proxies import ESTABLISHED, ConnectProxy, connect_proxy
from tests.doubles.subscribers import BODY, Subscriber, answering, headers_of, local_endpoint, subscriber
from tests.tls import Authority, TlsDoor
from worker.core.endpoints import Endpoint
from worker.delivery.ports import Attempt, AttemptResult
from worker.delivery.secrets import Secrets
from worker.delivery.webhooks import WebhookSender
from worker.errors import Cause

ENVIRON = {"S": "whsec_" + "bm5u" * 8}


@contextmanager
def sending(proxy: str, total_seconds: float = 5.0) -> Iterator[WebhookSender]:
    with closing(WebhookSender(Secrets(ENVIRON), proxy=proxy, total_seconds=total_seconds)) as sender:
        yield sender


def send(sender: WebhookSender, endpoint: Endpoint) -> Attempt:
    return sender.send(endpoint, "evt_1", BODY, 1_800_000_000)


def named(server: Subscriber, name: str = "hooks.example.com") -> Endpoint:
    """The endpoint under a name that only the proxy can resolve, with no network allowed."""
    return local_endpoint(server.url.replace("127.0.0.1", name), secret_env=("S",), allow_networks=())


def attempt_with(proxy_says: bytes | None) -> Attempt:
    """An attempt with a proxy that says this."""
    with (
        subscriber(answering("200 OK")) as server,
        connect_proxy(lambda _: proxy_says) as proxy,
        sending(proxy.url, 1.0) as sender,
    ):
        attempt = send(sender, named(server))
        assert server.connections == 0
        return attempt


def test_proxy_is_asked_to_connect_and_sees_the_name() -> None:
    """Also for plain HTTP. The request itself is as it would be without a proxy, and the connection is kept."""
    with (
        subscriber(answering("200 OK")) as server,
        connect_proxy() as proxy,
        sending(proxy.url) as sender,
    ):
        endpoint = named(server)
        for _ in range(2):
            assert send(sender, endpoint).result is AttemptResult.DELIVERED
        port = server.url.split(":")[2].partition("/")[0]
        assert proxy.heads == [
            f"CONNECT hooks.example.com:{port} HTTP/1.1\r\nHost: hooks.example.com:{port}\r\n\r\n"
        ]
        assert server.requests[0].startswith(b"POST /hook?x=1 HTTP/1.1\r\n")
        assert headers_of(server.requests[0])["host"] == f"hooks.example.com:{port}"


def test_tls_is_verified_behind_the_proxy(tmp_path: Path) -> None:
    """The server's certificate and name, with the endpoint's own authority; the proxy sees nothing but bytes."""
    authority = Authority(tmp_path, "authority")
    good = authority.issue("good", "DNS:hooks.example.com")
    with (
        subscriber(answering("200 OK")) as server,
        TlsDoor(int(server.url.split(":")[2].partition("/")[0]), good) as door,
        connect_proxy() as proxy,
        sending(proxy.url) as sender,
    ):

        def results(ca_file: Path | None) -> list[tuple[AttemptResult, Cause | None]]:
            urls = [f"https://{host}.example.com:{door.port}/" for host in ("hooks", "other")]
            endpoints = [
                Endpoint(url=url, secret_env=("S",), allow_ports=(door.port,), ca_file=ca_file)
                for url in urls
            ]
            attempts = [send(sender, endpoint) for endpoint in endpoints]
            return [(attempt.result, attempt.cause) for attempt in attempts]

        refused = (AttemptResult.UNREACHABLE, Cause.TLS)
        assert results(authority.pair.certificate) == [(AttemptResult.DELIVERED, None), refused]
        assert results(None) == [refused, refused]
        assert door.names == ["hooks.example.com", "other.example.com"] * 2
        assert headers_of(server.requests[0])["host"] == f"hooks.example.com:{door.port}"
        assert len(server.requests) == 1


def test_user_and_password_go_to_the_proxy_alone() -> None:
    """As Basic authorization, unquoted; the endpoint does not see them."""
    with subscriber(answering("200 OK")) as server, connect_proxy() as proxy:
        with sending(f"http://us%40er:pa%3Ass@127.0.0.1:{proxy.port}") as sender:
            assert send(sender, named(server)).result is AttemptResult.DELIVERED
        told = base64.b64encode(b"us@er:pa:ss").decode()
        assert f"Proxy-Authorization: Basic {told}\r\n" in proxy.heads[0]
        assert "proxy-authorization" not in headers_of(server.requests[0])
        assert "Basic" not in repr(sender._proxy)


@pytest.mark.parametrize(
    "says",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\n\r\n",
        b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 9\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000,
        b"HTTP/1.1 103 E\r\n\r\n" * 2000,
        b"",
        None,
    ],
    ids=["407", "403", "404", "302", "500", "429", "ssh", "endless header", "1xx flood", "closed", "silent"],
)  # fmt: skip
def test_fault_of_the_proxy_is_not_the_endpoints(says: bytes | None) -> None:
    """What it refuses, and whatever is no answer to CONNECT. It gives no status, wish or cause of the endpoint's."""
    attempt = attempt_with(says)
    assert attempt.result is AttemptResult.PROXY and attempt.problem
    assert (attempt.status, attempt.retry_after_seconds, attempt.cause) == (None, None, None)
    assert not attempt.slow and not attempt.disable


@pytest.mark.parametrize("status", [502, 503, 504])
def test_endpoint_that_the_proxy_cannot_reach_is_unreachable(status: int) -> None:
    """With these the proxy speaks of what is behind it."""
    attempt = attempt_with(f"HTTP/1.1 {status} Bad\r\nretry-after: 9\r\n\r\n".encode())
    assert (attempt.result, attempt.cause) == (AttemptResult.UNREACHABLE, Cause.CONNECT)
    assert str(status) in (attempt.problem or "") and not attempt.slow


def test_proxy_that_cannot_be_reached_is_the_proxys_fault() -> None:
    """Nothing listens there, or its name has no address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://no-such-proxy.invalid:3128"):
        with subscriber(answering("200 OK")) as server, sending(url) as sender:
            assert send(sender, named(server)).result is AttemptResult.PROXY


def test_proxy_that_answers_others_waits_for_the_endpoint() -> None:
    """If it is silent about one endpoint while it leads to another, the endpoint is the one that does not answer."""
    with (
        subscriber(answering("200 OK")) as server,
        connect_proxy(lambda head: None if "dead" in head else ESTABLISHED) as proxy,
        sending(proxy.url, 2.0) as sender,
    ):
        silent = gevent.spawn(send, sender, named(server, "dead.example.com"))
        _wait_for_head(proxy)
        assert send(sender, named(server)).result is AttemptResult.DELIVERED
        attempt = silent.get(timeout=30)
        assert (attempt.result, attempt.cause) == (AttemptResult.TIMEOUT, Cause.TIMEOUT)


def _wait_for_head(proxy: ConnectProxy) -> None:
    with gevent.Timeout(30):
        while not proxy.heads:
            gevent.sleep(0.01)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://hooks.example.com/", "scheme"),
        ("https://hooks.example.com:8443/", "port"),
        ("https://127.0.0.1/", "loopback"),
        ("https://2130706433/", "loopback"),
        ("https://0x7f.1/", "loopback"),
        ("https://[::ffff:10.0.0.1]/", "mapped"),
        ("https://169.254.169.254/", "metadata"),
    ],
)
def test_guard_still_refuses_what_a_url_spells(url: str, rule: str) -> None:
    """The proxy is not asked: names are its part, addresses are not."""
    with connect_proxy() as proxy, sending(proxy.url) as sender:
        attempt = send(sender, Endpoint(url=url, secret_env=("S",)))
        assert (attempt.result, attempt.rule) == (AttemptResult.GUARDED, rule)
        assert proxy.heads == []


def test_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the setting counts."""
    with subscriber(answering("200 OK")) as server, connect_proxy() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        with closing(WebhookSender(Secrets(ENVIRON))) as sender:
            assert (
                send(sender, local_endpoint(server.url, secret_env=("S",))).result is AttemptResult.DELIVERED
            )
        assert proxy.heads == []
