"""The blocks of code that README and pages show, each with the mark before it.

`<!-- not run: WHY -->`             the block cannot be run here
`<!-- run: exit status N -->`       the last command of the block ends with that status
`<!-- run: until it prints TEXT -->`  the program does not end by itself

A block of sh or Python without a mark is run, beside `callworker dev`. tests/contract/test_node_client.py runs those of
JavaScript that use the client.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.ops.examples import PAGES, ROOT

OTHERS = (
    "CONTRIBUTING.md",
    "RELEASING.md",
    "SECURITY.md",
    "clients/node/README.md",
    "clients/python/README.md",
    "ops/bench/README.md",
)
ALL_PAGES = (*PAGES, *(ROOT / name for name in OTHERS))
ENDS = {"|", "&", "&&", "||", ";", ">", "<"}

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>(?:not )?run\b[^\n]*) -->\n+)?^```(?P<language>\w+)\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of code; `line` is the number of its first line, `mark` the text of the comment before it."""

    page: Path
    line: int
    language: str
    code: str
    mark: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def runs(self) -> bool:
        """True where the block can be run."""
        return not self.mark.startswith("not run")

    @property
    def status(self) -> int:
        """The exit status that the page promises."""
        found = re.fullmatch(r"run: exit status (\d+)", self.mark)
        return int(found[1]) if found else 0

    @property
    def printed(self) -> str | None:
        """What a program that does not end prints at last; None for one that ends."""
        found = re.fullmatch(r"run: until it prints (.+)", self.mark)
        return found[1] if found else None


def blocks(*languages: str) -> list[Block]:
    """All blocks of these languages, in the order of the pages."""
    return [block for page in ALL_PAGES for block in _blocks_of(page) if block.language in languages]


def _blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        yield Block(page, line, found["language"], found["code"], found["mark"] or "")


def command_lines(block: Block, program: str) -> Iterator[list[str]]:
    """The arguments of each call of `program` in a block of sh; the lines of a here-document are no commands."""
    code = re.sub(r"<<'(\w+)'\n.*?^\1$", "", block.code, flags=re.DOTALL | re.MULTILINE)
    for line in code.replace("\\\n", " ").splitlines():
        command: list[str] = []
        for word in [*_words(line), ";"]:
            if word not in ENDS:
                command.append(word)
                continue
            while command and _ASSIGNMENT.match(command[0]):
                command.pop(0)
            if command[:1] == [program]:
                yield command[1:]
            command = []


def _words(line: str) -> list[str]:
    """The words of a line of sh, without its comment."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    return list(reader)
