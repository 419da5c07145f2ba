"""Checks the built pages for broken links, files loaded from other hosts, and Markdown shown as plain text.

GitHub recognises a list or table that directly follows a paragraph; Python's Markdown does not, and shows the marks as
they are. That counts as a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

NOT_A_PAGE = "404.html"
"""The page for addresses that are not there: a server alone shows it, so its links begin at the server's root."""

_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_RUNBOOK = re.compile(r"runbook_url: .*docs_url }}/([^#\s]+)#(\w+)")
_UNREAD = re.compile(r"^ {0,3}(?:- |[0-9]+\. |\||```)", re.MULTILINE)


@dataclass
class Page(HTMLParser):
    """The contents of one built page: anchors, links, files that it loads, and paragraphs with marks of Markdown."""

    text: str
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._paragraph = False
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._paragraph = tag == "p" or (self._paragraph and tag in ("a", "em", "strong"))
        self.anchors.update(name for name in (given.get("id"), given.get("name")) if name)
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        address = given.get(_LOADED.get(tag, ""))
        if address:
            self.loaded.append(address)

    def handle_endtag(self, tag: str) -> None:
        self._paragraph = self._paragraph and tag != "p"

    def handle_data(self, data: str) -> None:
        if self._paragraph and _UNREAD.search(data):
            self.unread.append(_UNREAD.split(data)[-1].strip()[:60])


def problems(site: Path) -> list[str]:
    """A line for each fault of the pages in `site`."""
    files = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    return [
        f"{path.relative_to(site.resolve())}: {fault}"
        for path, page in files.items()
        if path.name != NOT_A_PAGE
        for fault in _faults(path, page, files)
    ]


def dead_runbooks(site: Path, rules: Path) -> list[str]:
    """A line for each `runbook_url` in a file of alert rules that leads to no anchor of a page in the site's `docs`."""
    leads = _RUNBOOK.findall(rules.read_text(encoding="utf-8"))
    dead = [
        f"{address}#{anchor}" for address, anchor in leads if anchor not in _anchors(site / "docs" / address)
    ]
    return [f"{rules.name}: runbook_url leads to {each}, which is not there" for each in sorted(set(dead))]


def _anchors(path: Path) -> set[str]:
    return Page(path.read_text(encoding="utf-8")).anchors if path.is_file() else set()


def _faults(path: Path, page: Page, files: dict[Path, Page]) -> Iterator[str]:
    for address in page.links:
        if not urlsplit(address).scheme and (fault := _broken(path, address, files)):
            yield f"link {address}: {fault}"
    for address in page.loaded:
        if urlsplit(address).netloc or _broken(path, address, files):
            yield f"loads {address}, which is not a file of the site"
    for text in page.unread:
        yield f"a list, table or code block needs an empty line before it: {text}"


def _broken(path: Path, address: str, files: dict[Path, Page]) -> str | None:
    """The fault of a link inside the site; None if it has none."""
    parts = urlsplit(address)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        return "is a folder; link to its README.md"
    if not target.is_file():
        return "there is no such file"
    if parts.fragment and target in files and unquote(parts.fragment) not in files[target].anchors:
        return "the page has no such anchor"
    return None
