"""Finds the answer to a request, and logs each call before it is answered."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import cast

from worker.sandbox.provider import Outcome, Provider
from worker.sandbox.rendering import Format
from worker.sandbox.replies import Reply, Response, plain
from worker.sandbox.request_log import RequestLog, ServedRequest, masked_key
from worker.sandbox.wire import Request

MAX_LOGGED_CHARACTERS = 255
"""The log cuts longer values, which are never valid, so that they cannot fill the memory."""

_CALL_PATH = re.compile(r"/(telephonecall|telephonestatus|balance)\.(json|xml)")


@dataclass(frozen=True, slots=True)
class _Call:
    """One request to one of the provider's calls, with its decoded form."""

    name: str
    method: str
    fmt: Format
    form: dict[str, str]
    read_unix: float

    def field(self, name: str) -> str:
        return self.form.get(name, "")[:MAX_LOGGED_CHARACTERS]


class Routes:
    """Answers requests: the provider's calls, `/_requests` and `/_health`."""

    def __init__(self, provider: Provider, log: RequestLog) -> None:
        self._log = log
        self._calls = {
            "telephonecall": provider.telephonecall,
            "telephonestatus": provider.telephonestatus,
            "balance": provider.balance,
        }

    async def answer(self, request: Request, read_unix: float) -> Reply:
        """The reply to a request whose last byte was read at `read_unix` (seconds since 1970)."""
        if matched := _CALL_PATH.fullmatch(request.path):
            if request.method not in ("GET", "POST"):
                return plain(405, (("Allow", "GET, POST"),))
            name, fmt = matched[1], cast(Format, matched[2])
            return self._answer_call(_Call(name, request.method, fmt, request.form(), read_unix))
        if request.path == "/_requests":
            return await self._answer_log(request)
        return plain(200 if request.path == "/_health" else 404)

    def _answer_call(self, call: _Call) -> Reply:
        outcome = self._calls[call.name](call.form, call.fmt)
        self._log.add(_record(call, outcome))
        return outcome.reply

    async def _answer_log(self, request: Request) -> Reply:
        if request.method == "DELETE":
            self._log.clear()
            return Response()
        if request.method != "GET":
            return plain(405, (("Allow", "GET, DELETE"),))
        # A long log takes seconds to write out, and calls in flight must not wait for that.
        lines = await asyncio.to_thread(self._log.as_json_lines, request.form().get("phone"))
        return Response(content_type="application/x-ndjson", body=lines)


def _record(call: _Call, outcome: Outcome) -> ServedRequest:
    return ServedRequest(
        unix=call.read_unix,
        call=call.name,
        method=call.method,
        format=call.fmt,
        key=masked_key(call.form.get("key", "")),
        country=call.field("country"),
        phone=call.field("phone"),
        note=call.field("ref"),
        answer=outcome.answer,
        rung=outcome.rung,
        http_status=outcome.reply.status if isinstance(outcome.reply, Response) else None,
        ref=outcome.ref,
    )
