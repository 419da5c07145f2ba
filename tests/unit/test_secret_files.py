"""Files of webhook secrets: what they may hold, what is refused, and what a rotation leaves."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.configuration import secret_files
from worker.configuration.secret_files import RotationRefused, WrongSecretFile, parse, rotated
from worker.configuration.signing_secrets import SigningSecret, Version, new_secret, written_moment

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def secret(sign: str, length: int = 32) -> str:
    return "whsec_" + base64.b64encode(sign.encode() * length).decode()


def private(sign: str) -> str:
    return "whsk_" + base64.b64encode(sign.encode() * 32).decode()


A, B, C = secret("a"), secret("b"), secret("c")
PRIVATE = private("p")

moments = st.datetimes(
    datetime(1970, 1, 2),
    datetime(2200, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))]),
).map(lambda found: found.replace(microsecond=0))
keys = st.binary(min_size=16, max_size=80)
comments = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20)
blanks = st.text(" \t", max_size=3)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[tuple[bytes, datetime | None]]]:
    """The text of a file and what it holds, in order."""
    held = draw(
        st.lists(
            st.tuples(keys, st.none() | moments), min_size=1, max_size=16, unique_by=lambda pair: pair[0]
        )
    )
    rows = list[str]()
    for key, until in held:
        if draw(st.booleans()):
            rows.append(f"{draw(blanks)}#{draw(comments)}")
        end = "" if until is None else f"{draw(blanks)} until {draw(blanks)}{until.isoformat()}"
        told = draw(st.just("") | comments.map("  #{}".format))
        rows.append(f"{draw(blanks)}whsec_{base64.b64encode(key).decode()}{end}{draw(blanks)}{told}")
    return draw(st.sampled_from(["\n", "\r\n"])).join(rows), held


@given(files())
def test_secrets_and_their_ends_come_back(file: tuple[str, list[tuple[bytes, datetime | None]]]) -> None:
    """Comments, blanks, line breaks of either kind, and offsets of times do not matter."""
    text, held = file
    assert [(one.key, one.until) for one in parse(text)] == held


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text of a file ends a worker."""
    try:
        assert parse(text)
    except WrongSecretFile as error:
        assert error.causes


@given(files(), st.sampled_from([f"{secret('x')} x", f"  X{secret('x')}", f"{secret('x')} until soon"]))
def test_refusal_names_the_line_and_shows_no_secret(
    file: tuple[str, list[tuple[bytes, datetime | None]]], wrong: str
) -> None:
    """The error of a broken file names the line and can be logged."""
    with pytest.raises(WrongSecretFile) as refused:
        parse(f"{wrong}\n{file[0]}")
    told = str(refused.value)
    assert "line 1 " in told and wrong not in told and secret("x")[6:] not in told


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("# nothing but this\n", "holds no secret"),
        (f"{A}\n\n{A}", "line 3 repeats the secret of line 1"),
        (f"{A}\nS={B}", "line 2 holds NAME=value; write only a secret"),
        (f'{A}\n"{B}"', "line 2 holds quotes; write a secret without them"),
        (f"{A} {B}", "line 1 holds more than one secret and `until` with a time"),
        (f"{A} until", "line 1 holds more than one secret and `until` with a time"),
        (f"{A} until 2026-12-01", "line 1 has a time after until that is not RFC 3339"),
        (f"{A} until 2026-12-01T09:00:00", "line 1 has a time after until that is not RFC 3339"),
        (f"{A} until 2026-13-01T09:00:00Z", "line 1 has a time after until that is not RFC 3339"),
        (f"{A} until 0001-01-01T00:00:00+09:00", "line 1 has a time after until that is not RFC 3339"),
        (secret("a", 15), "line 1 stands for 15 bytes"),
        ("whsk_" + base64.b64encode(b"p" * 31).decode(), "line 1 stands for 31 bytes; a private key has 32"),
        ("whsk_" + base64.b64encode(b"p" * 64).decode(), "holds a public key that does not belong"),
        ("\n".join(secret(chr(97 + n)) for n in range(17)), "holds 17 secrets; allowed are 16"),
    ],
    ids=lambda value: value[-24:] if "whs" in value else None,
)
def test_wrong_file_is_refused_with_its_cause(text: str, cause: str) -> None:
    """The operator learns which line, and why."""
    with pytest.raises(WrongSecretFile, match=None) as refused:
        parse(text)
    assert cause in str(refused.value)


def test_every_wrong_line_is_told() -> None:
    """The operator can correct all lines at once."""
    with pytest.raises(WrongSecretFile) as refused:
        parse(f"whsec_x\n{A}\nwhsec_y\n")
    assert [cause.split(" ", 2)[1] for cause in refused.value.causes] == ["1", "3"]


@pytest.mark.parametrize(
    "until",
    [
        "2026-12-01T09:00:00Z",
        "2026-12-01t09:00:00z",
        "2026-12-01T10:30:00+01:30",
        "2026-12-01T09:00:00.000000000Z",
    ],
)
def test_end_is_any_rfc_3339_time(until: str) -> None:
    """The end may have any offset, small letters and fractions of a second."""
    assert parse(f"{A} until {until}")[0].until == NOW


def test_secret_signs_until_its_end_and_not_at_it() -> None:
    """The end itself belongs to what comes after it."""
    (found,) = parse(f"{A} until {written_moment(NOW)}")
    assert found.signs_at(NOW.timestamp() - 0.001) and not found.signs_at(NOW.timestamp())
    assert parse(A)[0].signs_at(1e12)


def test_private_key_may_hold_its_public_key() -> None:
    """The form of 64 bytes that other tools write is the same key."""
    seed = b"p" * 32
    (short,) = parse(PRIVATE)
    public = base64.b64decode(str(short.public_key).removeprefix("whpk_"))
    (long,) = parse("whsk_" + base64.b64encode(seed + public).decode())
    assert (long.version, long.key, long.public_key) == (Version.V1A, short.key, short.public_key)


def test_secret_is_in_no_representation() -> None:
    """A traceback with a secret's repr shows nothing of it."""
    found = parse(f"{A}\n{PRIVATE}\n")
    for one in found:
        assert one.written not in repr(one) and repr(one.key)[2:-1] not in repr(one)
        assert one.written[7:] not in one.masked and len(one.masked) <= 15


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """The error of an unreadable file gives the cause, and is no other type of error."""
    with pytest.raises(WrongSecretFile, match="does not exist"):
        secret_files.read(tmp_path / "absent")
    (tmp_path / "wide").write_bytes(A.encode("utf-16"))
    with pytest.raises(WrongSecretFile, match="UTF-16"):
        secret_files.read(tmp_path / "wide")


def test_rotation_keeps_the_old_secret_until_its_end() -> None:
    """The new one comes first; comments stay."""
    text = f"# Subscriber: Acme\n{A}   # since May\n"
    assert rotated(text, B, NOW, LATER) == (
        f"# Subscriber: Acme\n{B}\n{A} until 2026-12-02T09:00:00Z   # since May\n"
    )


def test_first_secret_of_a_file() -> None:
    """An empty file gets the secret alone; one with a secret of the other kind keeps that."""
    assert rotated("", B, NOW, LATER) == f"{B}\n"
    assert rotated(f"{A}", PRIVATE, NOW, LATER) == f"{A}\n{PRIVATE}\n"


def test_second_rotation_meanwhile_is_refused() -> None:
    """The subscriber has not had its time yet; the refusal says until when."""
    once = rotated(A, B, NOW, LATER)
    with pytest.raises(RotationRefused, match="until 2026-12-02T09:00:00Z"):
        rotated(once, C, NOW, LATER)
    with pytest.raises(RotationRefused, match="remove the old one"):
        rotated(f"{A}\n{B}\n", C, NOW, LATER)


def test_rotation_after_the_end_drops_what_is_over() -> None:
    """A rotation drops every secret whose end is over."""
    once = rotated(A, B, NOW, LATER)
    assert rotated(once, C, LATER, LATER + timedelta(hours=1)) == f"{C}\n{B} until 2026-12-02T10:00:00Z\n"


def test_earlier_end_is_kept() -> None:
    """An earlier end that the operator wrote is not extended."""
    text = f"{A} until 2026-12-01T10:00:00Z\n"
    assert rotated(text, B, NOW, LATER) == f"{B}\n{text}"


def test_rotation_leaves_a_wrong_file_alone() -> None:
    """A line that cannot be understood is not thrown away."""
    with pytest.raises(WrongSecretFile):
        rotated(f"{A}\nwhsec_x\n", B, NOW, LATER)


def signing(found: tuple[SigningSecret, ...], at: datetime) -> list[bytes]:
    return [one.key for one in found if one.signs_at(at.timestamp())]


@given(files(), st.sampled_from([Version.V1, Version.V1A]))
def test_rotation_loses_no_secret_that_signs(
    file: tuple[str, list[tuple[bytes, datetime | None]]], version: Version
) -> None:
    """Whatever the file: it is refused, or the new secret signs and all that signed do so still, until their end."""
    before, new = parse(file[0]), new_secret(version)
    try:
        after = parse(rotated(file[0], new, NOW, LATER))
    except RotationRefused:
        assert len([one for one in before if one.version is version and one.signs_at(NOW.timestamp())]) > 1
        return
    except WrongSecretFile:
        assert len(before) == secret_files.MAX_SECRETS
        return
    (made,) = [one for one in after if one.written == new]
    assert made.until is None and len(made.key) == 32
    assert set(signing(after, NOW)) == {*signing(before, NOW), made.key}
    assert all(one.signs_at(NOW.timestamp()) for one in after)
    kept = {one.key: one.until for one in before}
    for one in after:
        if one is not made:
            assert one.until in (kept[one.key], LATER)


@pytest.mark.parametrize("version", list(Version), ids=str)
def test_new_secrets_differ(version: Version) -> None:
    """Each is 32 bytes of chance."""
    made: Callable[[], str] = lambda: new_secret(version)  # noqa: E731
    assert made() != made()
