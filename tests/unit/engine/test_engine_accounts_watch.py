"""When a changed accounts file is read, and what becomes of a broken one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.doubles.clocks import FakeClock
from worker.configuration.textfiles import mark
from worker.core.accounts import Accounts
from worker.core.current import Changes, CurrentAccounts
from worker.engine.accounts_watch import AGAIN_SECONDS, SETTLED_NS, AccountsFile, AccountsWatch
from worker.errors import ConfigurationError

TABLE = '[accounts.{name}]\napi_key_env = "K"\nrate = "{rate}"\n'
BROKEN = "[accounts.acme\n"


def table(name: str = "acme", rate: str = "1/s") -> str:
    return TABLE.format(name=name, rate=rate)


class Installation:
    """A worker with an accounts file; each file that is written is older than its mark may deceive."""

    def __init__(self, folder: Path) -> None:
        self.path, self.clock, self.loads = folder / "accounts.toml", FakeClock(), 0
        self.told: list[str] = []
        self.during_load: Callable[[], object] = lambda: None
        self.refusal: ConfigurationError | None = None
        self.ages = 0
        self.write(table())
        self.file = AccountsFile(self.path, self.load, lambda: self.unix_ns)
        self.unix_ns = 2 * SETTLED_NS
        self.current = CurrentAccounts(self.file.load())
        self.watch = AccountsWatch(self.file, self.current, self.adopt, self, self.clock)

    def load(self, path: Path) -> Accounts:
        self.loads += 1
        try:
            return Accounts.load(path)
        finally:
            self.during_load()

    def adopt(self, accounts: Accounts) -> None:
        if self.refusal:
            raise self.refusal

    def write(self, text: str) -> None:
        """Replace the text of the file in place."""
        self.path.write_text(text)
        self.ages += 1
        os.utime(self.path, ns=(0, self.ages))

    def look(self, times: int = 1) -> list[str]:
        """Let the worker look; return what it told."""
        self.told.clear()
        for _ in range(times):
            self.clock.advance(self.watch.turn())
        return self.told

    @property
    def rate(self) -> str:
        return self.current.now["acme"].rate

    def accounts_reloaded(self, old: Accounts, new: Accounts, changes: Changes) -> None:
        self.told.append("reloaded")

    def accounts_unchanged(self, accounts: Accounts) -> None:
        self.told.append("unchanged")

    def accounts_refused(self, problems: Sequence[str], *, news: bool) -> None:
        if news:
            self.told.append("refused")


@pytest.fixture
def worker(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_unchanged_file_is_not_read_again(worker: Installation) -> None:
    """A look costs no more than to ask for the state of the file."""
    assert worker.look(20) == [] and worker.loads == 1


def test_changed_file_applies_once_two_looks_agree(worker: Installation) -> None:
    """The first look at a new text changes nothing, because it may not be complete."""
    worker.write(table(rate="2/s"))
    assert worker.look() == [] and worker.rate == "1/s"
    assert worker.look() == ["reloaded"] and worker.rate == "2/s"
    assert worker.look(5) == []


def test_swapped_link_is_noticed(worker: Installation, tmp_path: Path) -> None:
    """Kubernetes changes a ConfigMap by a link to another folder, whose file may have the same size and time."""
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}/accounts.toml").write_text(table(rate=f"{number}/s"))
        os.utime(tmp_path / f"..{number}/accounts.toml", ns=(0, 7))
    (tmp_path / "..data").symlink_to("..1")
    worker.path.unlink()
    worker.path.symlink_to("..data/accounts.toml")
    assert worker.look(2) == ["unchanged"]
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert worker.look(2) == ["reloaded"] and worker.rate == "2/s"


def test_file_that_is_written_in_parts_is_judged_when_it_is_complete(worker: Installation) -> None:
    """Parts that would be refused, or that lack an account, are not judged while the file changes at each look."""
    for part in (BROKEN, table("other"), table("other") + table(rate="3/s")):
        worker.write(part)
        assert worker.look() == []
    assert worker.look() == ["reloaded"] and worker.rate == "3/s"


def test_file_that_changes_while_it_is_read_is_read_again(worker: Installation) -> None:
    """Neither a part that is valid nor one that is not counts."""
    texts = [BROKEN, table(rate="9/s")]
    worker.during_load = lambda: worker.write(texts.pop()) if texts else None
    worker.write(table("other"))
    assert worker.look(6) == ["refused"] and worker.rate == "1/s"


def test_broken_file_leaves_the_accounts_alone_and_is_told_once(worker: Installation) -> None:
    """The old accounts stay in use. The next broken text is told again, and the end of it too."""
    worker.write(BROKEN)
    assert worker.look(40) == ["refused"] and worker.rate == "1/s"
    assert "not valid TOML" in worker.watch.problem and "line 1" in worker.watch.problem
    worker.write("\n" + BROKEN)
    assert worker.look(2) == ["refused"]
    worker.write(table())
    assert worker.look(2) == ["unchanged"] and worker.watch.problem == ""


def test_missing_file_is_a_broken_one(worker: Installation) -> None:
    """A file that is gone for two looks is told, and one that is back is used."""
    worker.path.unlink()
    assert worker.look(20) == ["refused"]
    worker.write(table(rate="2/s"))
    assert worker.look(2) == ["reloaded"]


def test_file_that_names_what_is_not_there_yet_is_tried_again(worker: Installation) -> None:
    """A key's file may come after the accounts file; what is refused meanwhile is told once."""
    worker.write(table(rate="2/s"))
    worker.refusal = ConfigurationError("account acme: the file /k does not exist")
    assert worker.look(round(AGAIN_SECONDS) + 5) == ["refused"]
    worker.refusal = None
    assert worker.look(round(AGAIN_SECONDS)) == ["reloaded"] and worker.rate == "2/s"


def test_asking_has_the_file_read_at_once(worker: Installation) -> None:
    """SIGHUP does: a new text need not be seen twice, and an unchanged one is answered."""
    worker.watch.ask()
    assert worker.look() == ["unchanged"]
    worker.write(table(rate="2/s"))
    worker.watch.ask()
    assert worker.look() == ["reloaded"]


def test_look_that_comes_too_soon_does_not_count(worker: Installation) -> None:
    """Loops are woken when a server is back: the two looks are a second apart all the same."""
    worker.write(BROKEN)
    worker.watch.turn()
    for _ in range(5):
        assert worker.watch.turn() == 1
    assert worker.told == []
    worker.clock.advance(1)
    assert worker.look() == ["refused"]


def test_file_that_was_just_written_is_read_once_more(worker: Installation) -> None:
    """A second text of the same size may come before the file system's clock has advanced."""
    worker.write(table(rate="2/s"))
    worker.unix_ns = worker.ages
    worker.watch.ask()
    assert worker.look() == ["reloaded"]
    worker.write(table(rate="3/s"))
    worker.file._read = worker.file._seen = mark(worker.path)  # as if its status had not changed
    worker.unix_ns += 2 * SETTLED_NS
    assert worker.look(3) == ["reloaded"] and worker.rate == "3/s"


def test_fault_of_the_program_is_not_the_last_word(worker: Installation) -> None:
    """After an unexpected error the same file is read again."""
    worker.write(table(rate="2/s"))
    worker.look()

    def fail() -> None:
        worker.during_load = lambda: None
        raise RuntimeError("a fault of ours")

    worker.during_load = fail
    with pytest.raises(RuntimeError):
        worker.look()
    worker.clock.advance(1)
    assert worker.look() == ["reloaded"]
