"""Fills the sections of a page that come from the code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ops.reference.accounts import account_fields, webhook_fields
from ops.reference.commands import commands
from ops.reference.errors import causes, provider_codes
from ops.reference.metrics import label_values, of_all_workers, of_each_worker
from ops.reference.settings import settings

SECTIONS: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "metrics of each worker": of_each_worker,
    "metrics of all workers": of_all_workers,
    "label values": label_values,
    "account fields": account_fields,
    "webhook fields": webhook_fields,
    "provider codes": provider_codes,
    "causes": causes,
}

_SECTION = re.compile(r"(<!-- from the code: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str) -> str:
    """Return the text of a page with its sections written from the code. Raises KeyError for an unknown section."""
    return _SECTION.sub(lambda found: f"{found[1]}\n{SECTIONS[found[2]]()}\n\n{found[3]}", page)


def sections_of(page: str) -> list[str]:
    """The names of the sections that a page has."""
    return [name for _, name, _ in _SECTION.findall(page)]
