"""The checks that the provider makes before it dials, with one error code for each field.

Source: docs/explanation/provider.md, "Placing a call".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

WELL_FORMED_KEY = re.compile(r"[0-9A-Fa-f]{32}")
LANGUAGES = frozenset(
    (
        "Chinese",
        "English",
        "French",
        "German",
        "Hebrew",
        "Italian",
        "Japanese",
        "Korean",
        "Polish",
        "Portuguese",
        "Russian",
        "Spanish",
    )
)

# An international number has at most 15 digits, and a row of the table of behaviours needs four.
_PHONE = re.compile(r"[0-9]{4,15}")
_COUNTRY = re.compile(r"[0-9]{1,3}")
_CODE = re.compile(r"[0-9]{3,5}")
_MIN_CODE = 100
_EXT = re.compile(r"[0-9]+")


def _good_country(value: str) -> bool:
    return bool(_COUNTRY.fullmatch(value))


def _good_phone(value: str) -> bool:
    return bool(_PHONE.fullmatch(value))


def _good_code(value: str) -> bool:
    return bool(_CODE.fullmatch(value)) and int(value) >= _MIN_CODE


def _good_ext(value: str) -> bool:
    return not value or bool(_EXT.fullmatch(value))


def _good_message(value: str) -> bool:
    return not value or value in LANGUAGES


_RULES: tuple[tuple[str, Callable[[str], bool], str], ...] = (
    ("country", _good_country, "INVALID_COUNTRY"),
    ("phone", _good_phone, "INVALID_TELEPHONE"),
    ("code", _good_code, "INVALID_CODE"),
    ("ext", _good_ext, "INVALID_EXT"),
    ("message", _good_message, "INVALID_MESSAGE"),
)


def call_error(form: Mapping[str, str]) -> str | None:
    """The error code for the first field of a telephonecall that breaks its rule, or None.

    A missing field counts as empty. The key is not checked here, because that depends on the keys that the sandbox was
    started with.
    """
    return next((error for field, good, error in _RULES if not good(form.get(field, ""))), None)
