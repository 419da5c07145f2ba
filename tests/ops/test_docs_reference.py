"""The reference says what the code says: its sections are what `make reference` writes, and nothing is left out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ops.reference.__main__ import write
from ops.reference.sections import SECTIONS, filled, sections_of
from ops.schemas import CODES
from worker.core.accounts import Account
from worker.core.endpoints import Endpoint
from worker.core.events import Status, event_type
from worker.core.jobs import EXTENDED_LANGUAGES, LANGUAGES, Job
from worker.provider.verdict import UNKNOWN_CODE
from worker.settings import Settings

REFERENCE = Path(__file__).parents[2] / "docs/reference"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(REFERENCE.glob("*.md"))}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_the_one_that_the_code_gives(name: str) -> None:
    """The page has every change of a setting, command, metric or field; `make reference` writes it."""
    assert filled(PAGES[name]) == PAGES[name]


def test_each_section_is_on_one_page() -> None:
    """Each section that the generator knows is shown on exactly one page."""
    shown = [section for text in PAGES.values() for section in sections_of(text)]
    assert sorted(shown) == sorted(SECTIONS)


def test_only_the_sections_of_a_page_are_replaced(tmp_path: Path) -> None:
    """Text around them stays; what was in them goes; a page without any is left alone."""
    section = "<!-- from the code: {} -->\n{}<!-- end -->\n"
    page = (
        "# A\n" + section.format("causes", "old\n") + "between\n" + section.format("settings", "") + "last\n"
    )
    (tmp_path / "a.md").write_text(page, encoding="utf-8")
    (tmp_path / "b.md").write_text("# B\n", encoding="utf-8")
    write(tmp_path)
    parts = [f"\n{SECTIONS[name]()}\n\n" for name in ("causes", "settings")]
    expected = page.replace("old\n", parts[0]).replace("settings -->\n", f"settings -->\n{parts[1]}")
    assert (tmp_path / "a.md").read_text(encoding="utf-8") == expected
    assert (tmp_path / "b.md").read_text(encoding="utf-8") == "# B\n"


@pytest.mark.parametrize("model", [Settings, Account, Endpoint])
def test_each_field_is_described(model: type[Settings] | type[Account] | type[Endpoint]) -> None:
    """A field without a description would be an empty cell; an account's name is the table's own."""
    bare = [name for name, field in model.model_fields.items() if not field.description]
    assert bare == (["name"] if model is Account else [])


def test_example_of_the_accounts_file_has_every_field() -> None:
    """Each once, but for the files that may hold a key or secrets in place of a variable."""
    found = re.search(r"```toml\n(.*?)```", PAGES["accounts.md"], re.DOTALL)
    assert found is not None
    (account,) = tomllib.loads(found[1])["accounts"].values()
    assert account.keys() == Account.model_fields.keys() - {"name", "api_key_file"}
    assert account["webhooks"][0].keys() == Endpoint.model_fields.keys() - {"secret_file"}


def rows(text: str, form: str) -> list[str]:
    """Return what `form` finds in the first cells of a page's tables."""
    return re.findall(rf"^\| {form} \|", text, re.MULTILINE)


def test_each_field_of_a_job_is_explained() -> None:
    """The fields are in the order of the model; `exttype` and the older page's languages follow below the table."""
    assert rows(PAGES["job.md"], r"`(\w+)`") == [name for name in Job.model_fields if name != "exttype"]
    assert all(word in PAGES["job.md"] for word in ("`exttype`", *LANGUAGES, *EXTENDED_LANGUAGES))


def test_each_type_of_event_is_explained() -> None:
    """The types of events are explained in the order in which the program lists them."""
    assert rows(PAGES["events.md"], r"`(call\.\w+)`") == [event_type(status) for status in Status]


def test_each_code_of_the_worker_is_explained() -> None:
    """The codes of the schema, and the two that stand beside the provider's own."""
    known = {code for form in CODES.values() for code in form.get("enum", [form.get("const")]) if code}
    told = re.findall(r"^\| `([A-Z_]+)` \| `call\.", PAGES["errors.md"], re.MULTILINE)
    assert set(told) == known | {"PROVIDER_UNAVAILABLE", UNKNOWN_CODE}
