"""The provider's three calls without HTTP: each turns a form into an outcome."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from worker.sandbox.behaviours import (
    Behaviour,
    Disconnects,
    Empty,
    GivesRef,
    HttpError,
    Refuses,
    Silence,
    behaviour_for,
)
from worker.sandbox.bounded import BoundedDict
from worker.sandbox.rendering import CONTENT_TYPES, Format, render, render_failed, render_ref
from worker.sandbox.replies import Hold, Reply, Reset, Response, plain
from worker.sandbox.validation import WELL_FORMED_KEY, call_error

STARTING_POINTS = 124
MAX_REMEMBERED = 1_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one request: the reply, and for the log its name, whether a phone rang, and the ref."""

    reply: Reply
    answer: str
    rung: bool = False
    ref: str | None = None


class Provider:
    """The provider's memory: its refs with their PINs, the points of each account, the requests for each number.

    It is not thread-safe; the sandbox calls it from one thread.
    """

    def __init__(self, keys: Collection[str] | None = None) -> None:
        self._keys = frozenset(keys or ())
        self._pins: BoundedDict[str, str] = BoundedDict(MAX_REMEMBERED)
        self._points: BoundedDict[str, int] = BoundedDict(MAX_REMEMBERED)
        self._turns: BoundedDict[tuple[str, str, str], int] = BoundedDict(MAX_REMEMBERED)

    def telephonecall(self, form: Mapping[str, str], fmt: Format) -> Outcome:
        """Place a call: check the form, then follow the number's row in the table."""
        error = self._key_error(form) or call_error(form)
        behaviour = Refuses(error) if error else self._next_behaviour(form)
        ref = self._place(form) if isinstance(behaviour, GivesRef) else None
        return Outcome(_reply(behaviour, fmt, ref), behaviour.answer, behaviour.rung, ref)

    def telephonestatus(self, form: Mapping[str, str], fmt: Format) -> Outcome:
        """Answer with status 100 for every ref that was given. `valid` is "0" if the right PIN is sent, else "-1"."""
        if error := self._key_error(form):
            return _refused(error, fmt)
        ref = form.get("referenceid", "")
        pin = self._pins.get(ref)
        if pin is None:
            return _refused("INVALID_TELEREFERENCE", fmt)
        valid = "0" if form.get("code") == pin else "-1"
        return Outcome(_good(fmt, {"status": "100", "valid": valid}), "status", ref=ref)

    def balance(self, form: Mapping[str, str], fmt: Format) -> Outcome:
        """Answer with the points left for the key: one less for each ref that was given, never below 0."""
        if error := self._key_error(form):
            return _refused(error, fmt)
        points = self._points.get(form["key"], STARTING_POINTS)
        return Outcome(_good(fmt, {"balance": str(points)}), "balance")

    def _key_error(self, form: Mapping[str, str]) -> str | None:
        key = form.get("key", "")
        good = key in self._keys if self._keys else WELL_FORMED_KEY.fullmatch(key)
        return None if good else "INVALID_KEY"

    def _next_behaviour(self, form: Mapping[str, str]) -> Behaviour:
        number_and_code = (form["country"], form["phone"], form["code"])
        turn = self._turns.get(number_and_code, 0)
        self._turns[number_and_code] = turn + 1
        return behaviour_for(form["phone"], turn)

    def _place(self, form: Mapping[str, str]) -> str:
        ref = secrets.token_hex(16).upper()
        self._pins[ref] = form["code"]
        key = form["key"]
        self._points[key] = max(0, self._points.get(key, STARTING_POINTS) - 1)
        return ref


def _reply(behaviour: Behaviour, fmt: Format, ref: str | None) -> Reply:
    match behaviour:
        case GivesRef():
            return _placed(behaviour, fmt, str(ref))
        case Refuses(error_code):
            return Response(content_type=CONTENT_TYPES[fmt], body=render_failed(fmt, error_code))
        case HttpError(status, headers=headers):
            return plain(status, headers)
        case Empty():
            return Response(content_type=CONTENT_TYPES[fmt])
        case Silence():
            return Hold()
        case Disconnects():
            return Reset()


def _placed(behaviour: GivesRef, fmt: Format, ref: str) -> Response:
    return Response(
        content_type=CONTENT_TYPES[fmt],
        body=render_ref(fmt, ref, unquoted=behaviour.unquoted),
        wait_seconds=behaviour.wait_seconds,
        byte_seconds=behaviour.byte_seconds,
    )


def _good(fmt: Format, members: Mapping[str, str]) -> Response:
    return Response(content_type=CONTENT_TYPES[fmt], body=render(fmt, "response", members))


def _refused(error_code: str, fmt: Format) -> Outcome:
    refusal = Refuses(error_code)
    return Outcome(_reply(refusal, fmt, None), refusal.answer)
