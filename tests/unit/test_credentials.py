"""Keys and secrets as people paste them: the harmless is taken off, the rest is refused with its cause."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.configuration.credentials import NotACredential, api_key, canonical_secret, signing_key

KEY = b"\xfb\xff\xfe" + b"tulip-tulip-tul"
SECRET = canonical_secret(KEY)
UNPADDED = canonical_secret(KEY + b"p")


@pytest.mark.parametrize(
    "text", ["tulip", " tulip\n", "tulip\r\n", "\ufefftulip", "\ufeff tulip \n", "\ttulip\x0b"]
)
def test_key_is_taken_without_what_is_around_it(text: str) -> None:
    """White space, line ends and a byte-order mark are no part of a key (C1)."""
    assert api_key(text) == "tulip"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "holds no API key"),
        ("\ufeff\n", "holds no API key"),
        ("tulip\nrose", "holds 2 lines"),
        ("tulip\rrose", "holds 2 lines"),
        ('"tulip"', "holds quotes"),
        ("'tulip'", "holds quotes"),
        ('{"key":"tulip"}', "holds quotes"),
        ("KEY=tulip", "holds NAME=value"),
        ("export KEY=tulip", "holds NAME=value"),
        ("${KEY}", "no shell has replaced"),
        ("tulip rose", "holds a space"),
        ("tulip\u00a0rose", "holds a space"),
        ("tulip\u200b", "number 6"),
        ("tulipé", "number 6"),
        ("tu\x00lip", "number 3"),
        ("t" * 513, "more than the 512"),
    ],
)
def test_text_that_cannot_be_a_key_is_refused_with_its_cause(text: str, cause: str) -> None:
    """The line says what is wrong and never shows the key (C1)."""
    with pytest.raises(NotACredential, match=cause) as problem:
        api_key(text)
    assert "tulip" not in str(problem.value)


@pytest.mark.parametrize("text", ["0123456789abcdef" * 2, "k", "abc==", "a-b_c.d/e+f", "x$y"])
def test_unusual_keys_are_taken(text: str) -> None:
    """Nobody has documented what a key looks like; what can be sent is sent."""
    assert api_key(text) == text


@pytest.mark.parametrize("text", [SECRET, f" {SECRET}\r\n", f"\ufeff{SECRET}", f"{SECRET}\n"])
def test_secret_is_taken_without_what_is_around_it(text: str) -> None:
    """Blanks, line ends and a byte-order mark are left out, as they are of a key (C2)."""
    assert signing_key(text) == KEY


def test_secret_without_its_padding_means_the_same_key() -> None:
    """Only one key can be meant, and every decoder that takes the text finds it (C2)."""
    assert UNPADDED.endswith("=") and signing_key(UNPADDED.rstrip("=")) == KEY + b"p"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "holds no webhook secret"),
        (SECRET.replace("+", "-").replace("/", "_"), "URL-safe base64"),
        (f"v1,{SECRET}", "begins with v1,"),
        (SECRET.upper(), "capital letters"),
        ("whsk_" + SECRET[6:], "asymmetric"),
        (SECRET[6:], "does not begin with whsec_"),
        (f'"{SECRET}"', "holds quotes"),
        (f"{SECRET} {SECRET}", "holds a space"),
        (f"{SECRET}\n{SECRET}", "holds 2 lines"),
        (f"{SECRET},{SECRET}", "base64 does not have"),
        (SECRET[:6] + "tulip!" * 5, "base64 does not have"),
        (SECRET[:6] + "A" * 25, "is not complete"),
        (canonical_secret(b"short"), "stands for 5 bytes"),
        ("whsec_", "stands for 0 bytes"),
    ],
)
def test_text_that_cannot_be_a_secret_is_refused_with_its_cause(text: str, cause: str) -> None:
    """The line says which slip it is, and never shows the secret (C2)."""
    with pytest.raises(NotACredential, match=cause) as problem:
        signing_key(text)
    assert SECRET[6:20] not in str(problem.value) and "tulip" not in str(problem.value)


@given(st.binary(min_size=16, max_size=64))
def test_every_long_enough_key_has_a_secret_that_means_it(key: bytes) -> None:
    """The standard spelling is decoded by the receiver's library and by this one alike."""
    assert signing_key(canonical_secret(key)) == key == base64.b64decode(canonical_secret(key)[6:])


@given(st.text(max_size=80))
def test_any_text_is_taken_or_refused_in_one_line(text: str) -> None:
    """No text ends in another exception."""
    for read in (api_key, signing_key):
        try:
            read(text)
        except NotACredential as error:
            assert len(str(error).splitlines()) == 1
