"""Secrets as they change under a running worker."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from worker.core.endpoints import Endpoint
from worker.delivery.secrets import LOOK_SECONDS, Secrets
from worker.errors import ConfigurationError

NOW = 1_796_115_600  # 2026-12-01T09:00:00Z
A, B, C = ("whsec_" + base64.b64encode(sign * 24).decode() for sign in (b"a", b"b", b"c"))


Lines = Sequence[Mapping[str, Any]]


class Watch:
    """Secrets of one endpoint's file, with a clock that the test moves."""

    def __init__(self, file: Path) -> None:
        self.file, self.at, self.hidden = file, 100.0, list[str]()
        self.endpoint = Endpoint(url="https://h.example.com/x?token=t", name="orders", secret_file=file)
        self.secrets = Secrets({}, register=self.hidden.append, clock=lambda: self.at)

    def write(self, text: str) -> None:
        """Write the file as an editor that replaces it does."""
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)

    def keys(self, unix_seconds: float = NOW, after: float = LOOK_SECONDS) -> str:
        """Return the keys that sign `after` seconds later, as in "ab"."""
        self.at += after
        return b"".join(one.key[:1] for one in self.secrets.of(self.endpoint, unix_seconds)).decode()


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    (tmp_path / "secrets").write_text(f"{A}\n")
    found = Watch(tmp_path / "secrets")
    found.secrets.load([found.endpoint])
    return found


@pytest.fixture
def told() -> Iterator[Lines]:
    with capture_logs() as lines:
        yield lines


def test_changed_file_is_noticed(watch: Watch, told: Lines) -> None:
    """A changed file is noticed without a restart; each new secret is hidden from the log before it is used."""
    assert watch.keys() == "a" and watch.hidden == [A]
    watch.write(f"{B}\n{A} until 2026-12-02T09:00:00Z\n")
    assert watch.keys() == "ba" and B in watch.hidden
    (line,) = told
    assert (line["event"], line["endpoint"], line["count"]) == ("webhook.secrets_read", "orders", 2)


def test_file_that_is_changed_in_place_is_noticed(watch: Watch) -> None:
    """A file changed in place, as by `echo >>`, is noticed."""
    with watch.file.open("a") as file:
        file.write(f"{B}\n")
    assert watch.keys() == "ab"


def test_file_is_looked_at_once_a_second_at_most(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many deliveries there are; and read only where it changed."""
    looks, stat = list[Path](), Path.stat

    def counted(path: Path) -> os.stat_result:
        looks.append(path)
        return stat(path)

    monkeypatch.setattr(Path, "stat", counted)
    for _ in range(1000):
        watch.keys(after=0.0009)
    assert not looks
    assert watch.keys() == "a" and watch.keys(after=0) == "a" and looks == [watch.file]
    monkeypatch.setattr(Endpoint, "secrets", None)
    assert watch.keys() == "a"


def test_secret_ends_at_its_time_without_a_look(watch: Watch) -> None:
    """The clock alone ends it."""
    watch.write(f"{B}\n{A} until 2026-12-01T09:00:01Z\n")
    assert watch.keys() == "ba" and watch.keys(NOW + 1, after=0) == "b"


@pytest.mark.parametrize("text", ["", "\n# nothing\n", f"{B}\nwhsec_x\n", "\0", f"{B} {C}"])
def test_broken_file_keeps_the_old_secrets(watch: Watch, told: Lines, text: str) -> None:
    """Told once, as an error that names no secret; a sound file ends it."""
    watch.write(text)
    assert [watch.keys(), watch.keys(), watch.keys()] == ["a", "a", "a"]
    (line,) = told
    assert (line["event"], line["log_level"]) == ("webhook.secrets_kept", "error")
    assert str(watch.file) in str(line["problem"]) and not any(one[6:] in str(line) for one in (A, B, C))
    watch.write(f"{C}\n")
    assert watch.keys() == "c" and told[-1]["event"] == "webhook.secrets_read"


def test_removed_file_keeps_the_old_secrets_until_it_is_back(watch: Watch, told: Lines) -> None:
    """The old secrets stay in use until a file is back, even if it is the same one."""
    away = watch.file.rename(watch.file.with_suffix(".away"))
    assert watch.keys() == "a" and watch.keys() == "a"
    away.rename(watch.file)
    assert watch.keys() == "a"
    assert [line["event"] for line in told] == ["webhook.secrets_kept", "webhook.secrets_read"]


def test_another_problem_is_told_again(watch: Watch, told: Lines) -> None:
    """The log follows the file."""
    for text in ("", "whsec_x", "whsec_x"):
        watch.write(text)
        assert watch.keys() == "a"
    assert len(told) == 2


def test_old_secrets_of_a_broken_file_end_all_the_same(watch: Watch) -> None:
    """A secret that was given away does not sign longer because its file is broken."""
    watch.write(f"{B}\n{A} until 2026-12-01T09:00:01Z\n")
    assert watch.keys() == "ba"
    watch.write("")
    assert watch.keys(NOW + 2) == "b"


def test_nothing_is_sent_unsigned(watch: Watch) -> None:
    """If every secret has expired, there is an error in place of a signature."""
    watch.write(f"{B} until 2026-12-01T09:00:00Z\n")
    with pytest.raises(ConfigurationError, match="every secret in it has expired"):
        watch.keys()


def test_file_that_is_broken_from_the_start_is_an_error(tmp_path: Path) -> None:
    """There is nothing to go on with; a later sound file is taken."""
    found = Watch(tmp_path / "secrets")
    with pytest.raises(ConfigurationError, match="does not exist"):
        found.secrets.load([found.endpoint])
    with pytest.raises(ConfigurationError, match="does not exist"):
        found.keys()
    found.file.write_text(A)
    assert found.keys() == "a"


def test_changed_accounts_have_all_files_read_again(watch: Watch, tmp_path: Path) -> None:
    """New endpoints have secrets to keep; those that stay read their file at the next use, though it looks the same."""
    before = watch.file.stat()
    watch.file.write_text(f"{B}\n")
    os.utime(watch.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "new").write_text(f"{A}\n")
    new = Endpoint(url="https://h.example.com/new", secret_file=tmp_path / "new")
    watch.secrets.load([watch.endpoint, new])
    assert watch.keys(after=0.0) == "b"
    (tmp_path / "new").unlink()
    assert watch.secrets.of(new, NOW)[0].key == b"a" * 24


def test_new_endpoint_without_secrets_changes_nothing(watch: Watch, tmp_path: Path) -> None:
    """The accounts file that names it is refused, and the endpoints of the one before keep their secrets."""
    new = Endpoint(url="https://h.example.com/new", secret_file=tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="missing"):
        watch.secrets.load([new])
    watch.file.unlink()
    assert watch.keys() == "a"


def test_variables_are_read_each_time() -> None:
    """Secrets in variables are read at each use."""
    environ = {"S": A}
    endpoint = Endpoint(url="https://h.example.com/x", secret_env=("S",))
    secrets = Secrets(environ)
    secrets.load([endpoint])
    assert secrets.of(endpoint, NOW)[0].key == b"a" * 24
    environ["S"] = B
    assert secrets.of(endpoint, NOW)[0].key == b"b" * 24
