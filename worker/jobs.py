"""A call-verification job as producers send it, checked against the contract.

Source: the job table of the project's contract, and the provider's field rules for placing a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from worker.errors import InvalidJob

ID_PATTERN = re.compile(r"[A-Za-z0-9_:-]{1,64}")
ACCOUNT_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
LANGUAGES = (
    "Chinese", "English", "French", "German", "Hebrew", "Italian",
    "Japanese", "Korean", "Polish", "Portuguese", "Russian", "Spanish",
)  # fmt: skip
EXTENDED_LANGUAGES = ("Arabic", "Hindi", "Hungarian", "Romanian", "Ukranian", "Vietnamese")
"""On an older page of the provider only, spelled as there; taken when the operator switches them on."""
NOTE_LENGTH = 255
MASKED_DIGITS = 4

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _text(pattern: str, rule: str, *, integers: bool = False) -> BeforeValidator:
    """A validator for strings that match `pattern` whole; integers are written out first where allowed."""
    compiled = re.compile(pattern)

    def check(value: object) -> str:
        if integers and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**20:
            value = str(value)
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise PydanticCustomError("rule", "{rule}", {"rule": rule})
        return value

    return BeforeValidator(check)


def _note(value: object) -> str:
    if not isinstance(value, str) or len(value) > NOTE_LENGTH or not _encodable(value):
        raise PydanticCustomError("rule", "must be a string of at most 255 characters")
    return value


def _extended(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("extended"))


def _language(value: object, info: ValidationInfo) -> str:
    names = LANGUAGES + EXTENDED_LANGUAGES if _extended(info) else LANGUAGES
    if value not in names:
        raise PydanticCustomError("rule", "must be one of {names}", {"names": ", ".join(names)})
    return str(value)


def _extension(value: object, info: ValidationInfo) -> str:
    signs, rule = ("[0-9,]", "digits and commas") if _extended(info) else ("[0-9]", "digits")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**20:
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(signs + "{1,20}", value):
        raise PydanticCustomError("rule", "must be 1 to 20 {rule}", {"rule": rule})
    return value


def _extension_type(value: object, info: ValidationInfo) -> str:
    if not _extended(info):
        raise PydanticCustomError("extra_forbidden", "not a field")
    if not isinstance(value, str | int) or str(value) not in ("1", "2"):
        raise PydanticCustomError("rule", "must be 1 (PBX) or 2 (live operator)")
    return str(value)


def _moment(value: object) -> datetime:
    try:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
        if not isinstance(value, str) or not _RFC3339.fullmatch(value):
            raise ValueError("not RFC 3339")
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as problem:
        rule = "must be an RFC 3339 time with an offset, as 2026-11-22T08:15:30Z"
        raise PydanticCustomError("rule", "{rule}", {"rule": rule}) from problem


def _encodable(text: str) -> bool:
    """False for a lone surrogate, which JSON can spell and UTF-8 cannot carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


Id = Annotated[str, _text(ID_PATTERN.pattern, "must be 1 to 64 characters of A-Z a-z 0-9 _ : -")]
AccountName = Annotated[str, _text(ACCOUNT_PATTERN.pattern, "must be the name of an account")]
Country = Annotated[
    str, _text(r"[1-9][0-9]{0,2}", "must be a country calling code of 1 to 3 digits", integers=True)
]
Phone = Annotated[str, _text(r"[0-9]{5,15}", "must be 5 to 15 digits and nothing else", integers=True)]
Pin = Annotated[
    str, _text(r"[1-9][0-9]{2,4}", "must be a number from 100 to 99999 without a leading zero", integers=True)
]
Extension = Annotated[str, BeforeValidator(_extension)]
ExtensionType = Annotated[str, BeforeValidator(_extension_type)]
Note = Annotated[str, BeforeValidator(_note)]
Language = Annotated[str, BeforeValidator(_language)]
Moment = Annotated[datetime, BeforeValidator(_moment)]


class Job(BaseModel):
    """One call to place: which account pays, which number rings, which PIN is spoken.

    `repr()` and `str()` leave out the PIN and the number, so that no log line or traceback can carry them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Id
    account: AccountName
    country: Country
    phone: Phone = Field(repr=False)
    code: Pin = Field(repr=False)
    ext: Extension | None = Field(default=None, repr=False)
    exttype: ExtensionType | None = None
    message: Language = "English"
    ref: Note | None = Field(default=None, repr=False)
    expires_at: Moment | None = None

    @classmethod
    def parse(cls, fields: object, *, extended: bool = False) -> Self:
        """Check `fields` against the contract; a field that is null counts as absent.

        `extended` also takes what only the provider's older page allows: `exttype`, commas in `ext`, six more
        languages. Raises InvalidJob naming each field that is wrong, never its value.
        """
        if not isinstance(fields, Mapping):
            raise InvalidJob(
                "INVALID_JOB", "the job is not valid", {"job": "must be an object with the job's fields"}
            )
        given = {_printable(str(name)): value for name, value in fields.items() if value is not None}
        try:
            return cls.model_validate(given, context={"extended": extended})
        except ValidationError as problem:
            raise InvalidJob("INVALID_JOB", "the job is not valid", _field_errors(problem)) from None

    def to_json(self) -> str:
        """The job as one compact JSON object, absent fields left out; `parse(json.loads(...))` gives it back."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The job that `to_json` wrote."""
        return cls.parse(json.loads(text), extended=True)


def mask(phone: str) -> str:
    """The number with all but its last four digits starred: "2125555555" → "******5555"."""
    return "*" * max(len(phone) - MASKED_DIGITS, 0) + phone[-MASKED_DIGITS:]


def _field_errors(problem: ValidationError) -> dict[str, str]:
    errors: dict[str, str] = {}
    for error in problem.errors(include_url=False, include_input=False, include_context=False):
        name = str(error["loc"][0])
        errors.setdefault(name, _WORDS.get(error["type"], error["msg"]))
    return errors


_WORDS = {"missing": "is required", "extra_forbidden": "is not a field of a job"}


def _printable(name: str) -> str:
    """A field's name as it may stand in an event: foreign names can be anything."""
    return name.encode("unicode_escape").decode()[:64]
