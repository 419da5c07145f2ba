"""Replacing an operator's file: at once, with its mode, or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from worker.configuration.replacing import rewrite
from worker.configuration.textfiles import NotText


def test_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """A secret is never readable by others for a moment."""
    file = tmp_path / "secrets"
    rewrite(file, lambda text: text + "new\n")
    assert file.read_text() == "new\n" and stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o400])
def test_mode_is_kept(tmp_path: Path, mode: int) -> None:
    """The worker's user can read it still; no other file is left behind."""
    file = tmp_path / "secrets"
    file.write_text("old\n")
    file.chmod(mode)
    rewrite(file, lambda text: "new\n" + text)
    assert file.read_text() == "new\nold\n" and stat.S_IMODE(file.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_owner_is_kept(tmp_path: Path) -> None:
    """Root rotates for the worker's user."""
    file = tmp_path / "secrets"
    file.write_text("old\n")
    os.chown(file, 1234, 4321)
    rewrite(file, lambda text: text + "new\n")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 4321)


def test_file_of_another_user_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotation by the wrong user does not take the file away from the worker's user."""
    file = tmp_path / "secrets"
    file.write_text("old\n")
    status = os.fstat

    def of_another(handle: int) -> os.stat_result:
        found = list(status(handle))
        return os.stat_result([*found[:4], found[4] + 1, *found[5:]])

    def refused(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fstat", of_another)
    monkeypatch.setattr(os, "fchown", refused)
    with pytest.raises(PermissionError, match=f"run this as its owner or as root: '{file}'"):
        rewrite(file, lambda text: text + "new\n")
    assert file.read_text() == "old\n" and list(tmp_path.iterdir()) == [file]


def test_link_goes_on_to_lead_there(tmp_path: Path) -> None:
    """The file behind it changes."""
    (tmp_path / "real").write_text("old\n")
    (tmp_path / "link").symlink_to("real")
    rewrite(tmp_path / "link", lambda text: text + "new\n")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "old\nnew\n"


def test_refusal_changes_nothing(tmp_path: Path) -> None:
    """Whatever raises, the old text is there and nothing else."""
    file = tmp_path / "secrets"
    file.write_text("old\n")

    def refuse(text: str) -> str:
        raise KeyError(text)

    with pytest.raises(KeyError):
        rewrite(file, refuse)
    with pytest.raises(UnicodeEncodeError):
        rewrite(file, lambda _: "\ud800")
    assert file.read_text() == "old\n" and list(tmp_path.iterdir()) == [file]


def test_disk_that_refuses_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk does not cost the secret that signs."""
    file = tmp_path / "secrets"
    file.write_text("old\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        rewrite(file, lambda text: text + "new\n")
    assert file.read_text() == "old\n" and list(tmp_path.iterdir()) == [file]


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """It is not overwritten."""
    file = tmp_path / "secrets"
    file.write_bytes(b"\0\1")
    with pytest.raises(NotText):
        rewrite(file, lambda text: text)
    assert file.read_bytes() == b"\0\1"


def test_two_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """Two changes at once wait for each other, and neither is lost."""
    file = tmp_path / "secrets"
    threads = [threading.Thread(target=rewrite, args=(file, lambda text: text + "x\n")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_text() == "x\n" * 8
