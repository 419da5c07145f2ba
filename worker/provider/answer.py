"""The content of a body: a ref, the provider's error, a balance, or nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from worker.http.oddities import Note, Oddity, unheard
from worker.provider.bodies import MAX_DEPTH, Document, Garbled, NoDocument, document
from worker.provider.codes import CODE
from worker.provider.repair import HALVES, repaired

_REF = re.compile(r"[0-9A-Za-z]{32}")
_FOREIGN = {"response": {"failed", "error_code"}, "failed": {"response", "ref"}}
_ERROR_NAMES = {
    "error_code": ("error_code", "errorcode", "code", "error"),
    "error_msg": ("error_msg", "errormsg", "error_message", "errormessage", "message", "msg"),
}
"""The members of an error, each with the other names that it may have."""
_LEADING_CODE = re.compile(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b\W*(.*)", re.DOTALL)
_BALANCE = re.compile(r"-?[0-9]{1,15}")
_NO = ("", "false", "no", "none", "null", "0")
"""The spellings of "there is none" in the place of a whole `response` or `failed`."""


@dataclass(frozen=True, slots=True)
class Response:
    """A `response`: an object, or any other value in its place."""

    members: Any
    _note: Note = field(default=unheard, repr=False, compare=False)

    def ref(self) -> str:
        """The ref of a placed call, as the provider spelled it.

        The provider documents 32 characters. Any other single text in a response is a ref too, and the note hears of
        it: a response says that the phone rings, and refusing it would ring the phone again. Such a ref may have any
        length and content. Raises Garbled if the response holds nothing, several things, or something called an error.
        """
        found = _alone(self.members)
        if not found or self._is_error():
            raise Garbled("it is a response without a ref")
        if not _REF.fullmatch(found):
            self._note(Oddity.REF)
        return found

    def _is_error(self) -> bool:
        """Tell whether the response has no `ref` but a member that is called an error."""
        names = self.members if isinstance(self.members, dict) and "ref" not in self.members else ()
        return any(name.startswith("error") for name in names)

    def balance(self) -> int:
        """The points left. Raises Garbled."""
        value = self.members.get("balance") if isinstance(self.members, dict) else None
        if not isinstance(value, str) or not _BALANCE.fullmatch(value.strip()):
            raise Garbled("it is a response without a proper balance")
        return int(value)


@dataclass(frozen=True, slots=True)
class ProviderFailure:
    """A `failed` object. Both texts are the provider's own and may quote the request."""

    code: str
    message: str


class Neither(Exception):
    """Signals a document with neither `response` nor `failed`."""


def read(body: bytes, note: Note = unheard) -> Response | ProviderFailure:
    """Read the one answer in `body`, a document in JSON or XML. `note` hears what was odd about it.

    A body that is not an answer by strict rules is read a second time, leniently. Raises NoDocument or Neither when
    the body is not an answer at all, and Garbled when the answer contradicts itself or lacks a required part. The
    difference matters for HTTP status 429 and 503.
    """
    try:
        return _answer(document(body), note)
    except (NoDocument, Neither):
        found = repaired(body)
    answer = _answer(found, note)
    note(Oddity.REPAIRED)
    return answer


def _answer(found: Document, note: Note) -> Response | ProviderFailure:
    halves = {name: found[name] for name in HALVES if found.get(name) is not None}
    if not halves:
        raise Neither
    name, members = _only_full_one(halves)
    if name == "response" and isinstance(members, dict):
        name, members = _without_error(members)
    if isinstance(members, dict) and members.keys() & _FOREIGN[name]:
        raise Garbled("it holds parts of both an answer and an error")
    return Response(members, note) if name == "response" else _failure(members, note)


def _only_full_one(halves: Document) -> tuple[str, Any]:
    """Find the half that says anything, and drop its empty parts. An empty half beside a full one counts as absent."""
    full = [(name, part) for name, half in halves.items() if (part := _full_part(half)) is not None]
    if len(full) > 1:
        full = [(name, part) for name, part in full if not _says_no(part)]
    if len(full) != 1:
        raise Garbled("it is both an answer and an error, or neither")
    name, members = full[0]
    return name, members[0] if isinstance(members, list) and len(members) == 1 else members


def _says_no(half: Any) -> bool:
    """Tell whether this is an error with the code 0, or a response that holds only the ref 0."""
    return isinstance(half, dict) and _is_no(
        half.get("error_code", half.get("ref") if len(half) == 1 else None)
    )


def _is_no(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() in _NO


def _without_error(members: Document) -> tuple[str, Any]:
    """Drop from a response the statement that there was no error, or return the error if it holds only that."""
    if _is_no(members.get("error_code")):
        return "response", {name: part for name, part in members.items() if name not in _ERROR_NAMES}
    if members.keys() == {"failed"}:
        return "failed", members["failed"]
    only_an_error = "error_code" in members and members.keys() <= _ERROR_NAMES.keys()
    return "failed" if only_an_error else "response", members


def _failure(members: Any, note: Note) -> ProviderFailure:
    """Read the error in `members`, an object or a text that begins with a code. Raises Garbled."""
    if isinstance(members, str):
        return _worded(members.strip())
    found = members if isinstance(members, dict) else {}
    if "error_code" not in found:
        found = _renamed(found)
        note(Oddity.REPAIRED)
    code, message = found.get("error_code"), found.get("error_msg")
    if not isinstance(code, str):
        raise Garbled("it is an error without a code")
    return ProviderFailure(code.strip(), message if isinstance(message, str) else "")


def _worded(text: str) -> ProviderFailure:
    if CODE.fullmatch(text):
        return ProviderFailure(text, "")
    if matched := _LEADING_CODE.match(text):
        return ProviderFailure(matched[1], matched[2])
    raise Garbled("it is an error without a code")


def _renamed(members: Document) -> Document:
    """Give the `members` of an error their proper names. Of several for one name the first counts."""
    plain = {name.lower().replace("-", "_"): part for name, part in reversed(members.items())}
    names = {
        name: [plain[other] for other in others if other in plain] for name, others in _ERROR_NAMES.items()
    }
    return {name: parts[0] for name, parts in names.items() if parts}


def _full_part(half: Any) -> Any:
    """Drop the empty parts of a half. Returns None for a half that says that there is none."""
    return None if _is_no(half) else _pruned(half, MAX_DEPTH)


def _pruned(value: Any, depth: int) -> Any:
    """Drop null, false, blank texts, and objects and lists of nothing else. Returns None if nothing is left.

    Raises Garbled for a value that is nested too deeply.
    """
    if not depth:
        raise Garbled("it is too deep")
    if isinstance(value, dict):
        parts = {name: _pruned(part, depth - 1) for name, part in value.items()}
        return {name: part for name, part in parts.items() if part is not None} or None
    if isinstance(value, list):
        return [part for one in value if (part := _pruned(one, depth - 1)) is not None] or None
    return value if (value.strip() if isinstance(value, str) else value) else None


def _alone(value: Any) -> str | None:
    """Find the `ref` in a pruned `value`, or else its only text. Returns None if there are several."""
    while isinstance(value, dict | list):
        parts = list(value.values()) if isinstance(value, dict) else value
        alone = parts[0] if len(parts) == 1 else None
        value = value.get("ref", alone) if isinstance(value, dict) else alone
    return value.strip() if isinstance(value, str) else None
