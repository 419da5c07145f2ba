"""What the provider says in a body: a ref, an error, a balance, or nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from worker.provider.bodies import Document, Garbled, document

_REF = re.compile(r"[0-9A-Fa-f]{32}")
_FOREIGN = {"response": {"failed", "error_code"}, "failed": {"response", "ref"}}
_BALANCE = re.compile(r"-?[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Response:
    """A `response` object."""

    members: Document

    def ref(self) -> str:
        """The ref of a placed call, as the provider spelled it. Raises Garbled."""
        return self._member("ref", _REF)

    def balance(self) -> int:
        """The points left. Raises Garbled."""
        return int(self._member("balance", _BALANCE))

    def _member(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self.members.get(name)
        if not isinstance(value, str) or not pattern.fullmatch(value.strip()):
            raise Garbled(f"it is a response without a proper {name}")
        return value.strip()


@dataclass(frozen=True, slots=True)
class Failure:
    """A `failed` object. Both texts are the provider's own and may quote the request."""

    code: str
    message: str


class Neither(Exception):
    """A document with neither `response` nor `failed`."""


def read(body: bytes) -> Response | Failure:
    """The one answer in `body`, a document in JSON or XML.

    Raises NoDocument or Neither when the body is no answer at all, and Garbled when it is one that contradicts itself
    or lacks what it must have. The difference matters under HTTP 429 and 503.
    """
    found = document(body)
    sides = [name for name in ("response", "failed") if found.get(name) is not None]
    if not sides:
        raise Neither
    members = found[sides[0]]
    if len(sides) > 1 or not isinstance(members, dict):
        raise Garbled("it is both an answer and an error, or neither")
    if members.keys() & _FOREIGN[sides[0]]:
        raise Garbled("it holds parts of both an answer and an error")
    return Response(members) if sides == ["response"] else _failure(members)


def _failure(members: Document) -> Failure:
    code, message = members.get("error_code"), members.get("error_msg")
    if not isinstance(code, str) or not code.strip():
        raise Garbled("it is an error without a code")
    return Failure(code.strip(), message if isinstance(message, str) else "")
