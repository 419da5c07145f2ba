"""Passwords in addresses: hidden whatever signs they hold, wherever an address is shown or a library speaks of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.broker.connection import connection_to
from worker.cli.doctor.listing import listed
from worker.errors import ConfigurationError
from worker.privacy.addresses import mask_addresses, mask_url, passwords
from worker.privacy.redaction import Redactor, redactor, register_passwords
from worker.privacy.scrubbing import scrub
from worker.redisio.connection import parameters
from worker.settings import Settings

SIGNS = "/#?;@:&=%+[],!$~*()|\\^{}`"
SCHEMES = (
    "redis",
    "rediss",
    "redis+socket",
    "unix",
    "amqp",
    "amqps",
    "pyamqp",
    "sentinel",
    "redis+sentinel",
    "https",
)
FORMS = (
    "{scheme}://:{password}@host.example:6379/0",
    "{scheme}://user:{password}@host.example/vhost",
    "{scheme}://host.example/0?password={password}",
    "{scheme}://host.example:6379/0?db=1&password={password}",
    "{scheme}://user:{password}@s1.example:26379,s2.example,s3.example/NAME/0",
    "{scheme}://s1.example,s2.example/NAME/0?sentinel_password={password}",
)
PASSWORDS = [
    form.replace("_", sign)
    for sign in SIGNS
    for form in (
        "alpha_bravo",
        "6379_bravo",
        "_alphabravo",
        "alphabravo_",
        "alpha_1_bravo",
        "a_l_p_h_a_bravo",
    )
]


def shows(text: str, password: str) -> bool:
    """Return whether a text contains the password, or a part of it that could not be there by chance."""
    return password in text or bool(re.search("alpha|bravo", text))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_address_is_shown_without_any_part_of_its_password(scheme: str, form: str) -> None:
    """Up to the last @ all is hidden, and in a query each value, whatever the signs (E5)."""
    for password in PASSWORDS:
        url = form.format(scheme=scheme, password=password)
        assert not shows(mask_url(url), password), (url, mask_url(url))


@pytest.mark.parametrize(
    "frame", ["{}", "lost {} again", "<{}>", "{{'url': '{}'}}", '"{}", "me@example.com"']
)
def test_address_in_running_text_shows_no_part_of_its_password(frame: str) -> None:
    """An address in a log line or an error, which ends at a space or a quote, shows no part of its password (E5)."""
    for password in PASSWORDS:
        for scheme in ("redis", "amqp", "https"):
            url = f"{scheme}://user:{password}@host.example:5672/0"
            if scheme == "https" and password.startswith("6379"):
                continue  # told in the module's head
            assert not shows(mask_addresses(frame.format(url)), password), url


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=9))
@example("alphabravo;redis://:x@y")
def test_every_password_is_known_as_written_and_as_meant(password: str) -> None:
    """A library may speak of it in either spelling (E5)."""
    for spelled in (password, quote(password, safe="")):
        found = set(passwords(f"amqp://user:{spelled}@host/"))
        assert spelled in found or "://" in spelled
        assert password in found or "://" in spelled or quote(password, safe="") != spelled
        masking = Redactor()
        for each in found:
            masking.register(each)
        if "://" not in spelled and password == password.strip():
            assert password not in masking.text(f"cannot use {password} here") or len(password) < 4


def _refusals(url: str) -> Iterator[str]:
    """Return what start, doctor and the commands say of an address."""
    environ = {"REDIS_URL": url, "BROKER_URL": url, "PROXSTOP_URL": url}
    settings, wrong = Settings.valid_part(environ)
    yield from map(str, wrong.values())
    yield from (row.value for row in listed(settings, wrong, environ))
    looks: tuple[Callable[[str], object], ...] = (parameters, connection_to)
    for look in looks:
        try:
            look(url)
        except (ValueError, ConfigurationError) as error:
            yield str(error)
            yield str(error.__cause__ or "")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_refusal_of_an_address_repeats_a_part_of_it(scheme: str, form: str) -> None:
    """No text of ours or of a library repeats a part of an address, in start, doctor or commands (E5)."""
    for password in PASSWORDS[:: 1 if scheme in ("redis", "amqp") else 5]:
        url = form.format(scheme=scheme, password=password)
        told = [text for text in _refusals(url) if shows(text, password)]
        assert not told, (url, told)


def test_passwords_of_the_environment_are_kept_out_of_every_line() -> None:
    """Passwords are hidden even if a library quotes one without its address; brokers' defaults are no secret (E5)."""
    environ = {
        "REDIS_URL": "redis://:pa%2Fss-word@h/0?password=tulip%40rose",
        "BROKER_URL": "amqp://guest:guest@h//",
        "WEBHOOK_PROXY": "http://us:prim%20rose@h:3128",
    }
    try:
        register_passwords(environ)
        for spelled in (
            "pa%2Fss-word",
            "pa/ss-word",
            "tulip%40rose",
            "tulip@rose",
            "prim%20rose",
            "prim rose",
        ):
            assert spelled not in redactor.text(f"WRONGPASS {spelled} refused")
        assert redactor.text("guest logs in to redis") == "guest logs in to redis"
    finally:
        with suppress(AttributeError):
            redactor.__init__()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://a:s1@x//;amqp://a:s2@y//", "amqp://a:[redacted]@x//;amqp://a:[redacted]@y//"),
        ("redis://h:6379/0?x=a@b", "redis://[redacted]"),
        ("https://h.example:8080/a@b?token=tulip&x=1", "https://h.example:8080/a@b?token=[redacted]&x=1"),
        ("amqp://guest@127.0.0.1:5672//", "amqp://guest@127.0.0.1:5672//"),
        ("unix:///run/redis@1/sock", "unix:///run/redis@1/sock"),
        ("https:\\/\\/u:tulip@h", "https:\\/\\/u:[redacted]@h"),
    ],
)
def test_what_is_no_password_stays(text: str, shown: str) -> None:
    """Hosts, ports, names and paths are what an operator needs."""
    assert mask_addresses(text) == scrub(text) == shown
