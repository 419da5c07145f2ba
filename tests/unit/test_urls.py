"""Addresses of provider and webhooks: what shows a secret or is read in two ways is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.configuration.urls import http_url, is_plain_remote


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/calls",
        "http://127.0.0.1:8808/acme",
        "HTTPS://h",
        "http://[::1]:80/x?y=1",
        "https://my_service:8443/",
        "https://xn--bcher-kva.example./",
        "https://h/a%20b?c=d@e",
        "https://h/@team",
    ],
)
def test_usual_addresses_are_taken_as_they_are(url: str) -> None:
    """Nothing is changed: an address is a webhook's name."""
    assert http_url(url) == url


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("https://:tulip@host/", "before @"),
        ("https://tulip@host/", "before @"),
        ("https://tulip:tulip@host/", "before @"),
        ("https://@host/", "before @"),
        ("https://tulip%40x@host/", "before @"),
        ("https://tu lip/", "a space"),
        (" https://tulip/", "a space"),
        ("https://tulip/\n", "a space"),
        ("https://tu\tlip/", "a space"),
        ("https://tulip\x00/", "control character"),
        ("https://tulip\x7f/", "control character"),
        ("https://h\\tulip/", "a backslash"),
        ("https://h/#tulip", "a fragment"),
        ("https://tülip.example/", "xn-- form"),
        ("https://h/tülip", "xn-- form"),
        ("https:///tulip", "no host"),
        ("https://?tulip", "no host"),
        ("https://:443/tulip", "no host"),
        ("https://h:/tulip", "a port"),
        ("https://h:0/tulip", "a port"),
        ("https://h:65536/tulip", "a port"),
        ("https://h:tulip/", "a port"),
        ("https://h:443:1/tulip", "a port"),
        ("https://[::1]tulip/", "a port"),
        ("https://[::1/tulip", "neither a name nor an address"),
        ("https://[tulip]/", "neither a name nor an address"),
        ("https://tulip..example/", "neither a name nor an address"),
        ("https://tulip%20x/", "neither a name nor an address"),
        ("https://-tulip/", "neither a name nor an address"),
        ("https://" + "tulip" * 13 + "/", "neither a name nor an address"),
        ("ftp://tulip", "must begin with http:// or https://"),
        ("https:/tulip", "must begin with http:// or https://"),
        ("tulip", "must begin with http:// or https://"),
        ("", "must begin with http:// or https://"),
    ],
)
def test_address_that_shows_a_secret_or_is_ambiguous_is_refused(url: str, cause: str) -> None:
    """The line names the cause, and has nothing of the address (C7)."""
    with pytest.raises(ValueError, match=cause) as problem:
        http_url(url)
    assert "tulip" not in str(problem.value)


@given(st.text(max_size=40).map(lambda text: f"https://{text}"))
def test_any_text_is_taken_or_refused(text: str) -> None:
    """An accepted URL has no space, no user name and no fragment."""
    try:
        http_url(text)
    except ValueError:
        return
    assert (
        not set(text) & set(" \\#\n\t")
        and "@" not in text.removeprefix("https://").split("/")[0].split("?")[0]
    )


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://hooks.example.com/", True),
        ("http://10.0.0.1/", True),
        ("http://localhost:80/", False),
        ("http://127.8.8.8/", False),
        ("http://[::1]/", False),
        ("https://hooks.example.com/", False),
    ],
)
def test_plain_http_beyond_this_machine_is_told_apart(url: str, plain: bool) -> None:
    """Plain HTTP to another machine is recognised, because it is worth a warning (E15)."""
    assert is_plain_remote(url) is plain
