"""The site is made of the right files, and what is wrong with a built page is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.site.__main__ import not_in_navigation
from ops.site.checking import dead_runbooks, problems
from ops.site.staging import everything, stage

ROOT = Path(__file__).parents[2]

FOLDER = "docs"
FAULTS = {
    '<a href="gone.html">x</a>': "link gone.html: there is no such file",
    '<a href="other.html#gone">x</a>': "link other.html#gone: the page has no such anchor",
    '<a href="#gone">x</a>': "link #gone: the page has no such anchor",
    '<a href="folder/">x</a>': "link folder/: is a folder; link to its README.md",
    '<script src="https://cdn.example/x.js"></script>': "loads https://cdn.example/x.js",
    '<link rel="stylesheet" href="//fonts.example/x.css">': "loads //fonts.example/x.css",
    '<img src="gone.png">': "loads gone.png",
    "<p>There are two:\n- one</p>": "a list, table or code block needs an empty line before it: one",
    "<p>There are two <em>kinds</em>:\n1. one</p>": "a list, table or code block needs an empty line before it: one",
    "<p>The names:\n| name | x |</p>": "a list, table or code block needs an empty line before it",
}
GOOD = """<h1 id="top">x</h1><a href="other.html#there">x</a><a href="folder/data.json">x</a><a href="#top">x</a>
<a href="https://elsewhere.example/gone">x</a><p>5 - 3 and a | b</p><pre><p>\n</p>- code</pre>
<img src="folder/data.json">"""


def site(folder: Path, body: str) -> Path:
    """A built site: the page that is looked at, another, and a file in a folder."""
    (folder / "folder").mkdir()
    (folder / "folder/data.json").write_text("{}", encoding="utf-8")
    (folder / "other.html").write_text('<h2 id="there">x</h2>', encoding="utf-8")
    (folder / "404.html").write_text('<a href="/gone.html">x</a>', encoding="utf-8")
    (folder / "index.html").write_text(body, encoding="utf-8")
    return folder


@pytest.mark.parametrize("body", FAULTS)
def test_fault_of_a_page_is_named(tmp_path: Path, body: str) -> None:
    """One line for the fault, with the page and the place."""
    (found,) = problems(site(tmp_path, body))
    assert found.startswith(f"index.html: {FAULTS[body]}")


def test_good_page_has_no_faults(tmp_path: Path) -> None:
    """Links to other hosts are allowed, and are not followed."""
    assert problems(site(tmp_path, GOOD)) == []


def test_runbook_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The address of an alert must lead to an anchor of a built page."""
    rules = tmp_path / "alerts.yml"
    lines = [
        f'runbook_url: "{{{{ $externalLabels.docs_url }}}}/{each}"'
        for each in ("a.html#x", "a.html#y", "b.html#x")
    ]
    rules.write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.html").write_text('<h3 id="x">x</h3>', encoding="utf-8")
    assert dead_runbooks(tmp_path, rules) == [
        "alerts.yml: runbook_url leads to a.html#y, which is not there",
        "alerts.yml: runbook_url leads to b.html#x, which is not there",
    ]


def test_site_has_what_the_documentation_links_to_and_nothing_else(tmp_path: Path) -> None:
    """Directly or over other pages, at the paths of the repository; what is only shown as code is no link."""
    root, pages = tmp_path / "root", tmp_path / "pages"
    (root / "docs").mkdir(parents=True)
    texts = {
        "README.md": "[a](docs/./a.md) [site](https://x.example/b.md) `[code](code.py)`\n```md\n[c](code.py)\n```\n",
        "CONTRIBUTING.md": "", "RELEASING.md": "", "SECURITY.md": "",
        "CHANGELOG.md": "[outside](../outside.md) [gone](gone.md)",
        FOLDER + "/a.md": "[program](../program.py#top)", "program.py": "", "code.py": "",
    }  # fmt: skip
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    (tmp_path / "outside.md").write_text("", encoding="utf-8")
    (pages / "left.md").mkdir(parents=True)
    stage(root, pages)
    found = {path.relative_to(pages).as_posix() for path in pages.rglob("*") if path.is_file()}
    assert found == texts.keys() - {"code.py"} | {"assets/iframe-worker.js", "assets/site.css"}


def test_every_page_is_in_the_navigation() -> None:
    """A reader of the site finds each page without the search."""
    assert not_in_navigation(ROOT) == []


def test_site_holds_no_file_that_is_not_kept_with_the_project() -> None:
    """A link never brings a built or local file into the site."""
    parts = {path.relative_to(ROOT).parts[0] for path in everything(ROOT) if path.parent != ROOT}
    assert parts <= {"config", "docs", "examples", "ops", "tests", "worker"}
