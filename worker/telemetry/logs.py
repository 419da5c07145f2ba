"""Writes log lines, as JSON objects for machines or coloured lines for people. All of them are redacted.

The program's own lines come from structlog, those of libraries from `logging`. Both go through one handler of the root
logger. A line has `timestamp` (RFC 3339, UTC, milliseconds), `level`, `event`, `logger` and its fields. A traceback
is text in `exception`, without local variables. docs/reference/logs.md lists the events; a JSON line of a library has
the event `library`, and its text in `message`.

No thread waits until a line is written; see `worker.telemetry.outlet`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from structlog.types import EventDict, Processor

from worker.core.events import rfc3339
from worker.privacy.redaction import redactor, register_passwords
from worker.telemetry import outlet

Format = Literal["json", "console"]

LIBRARY = "library"
"""The event of every line of a library: its text may have any form."""

_HEAD = ("timestamp", "level", "event", "logger", "message", "job_id", "event_id", "account", "attempt")

_MIN_LEVELS = {
    "amqp": logging.WARNING,
    "kombu": logging.WARNING,
    "urllib3": logging.WARNING,
    "celery.app.trace": logging.WARNING,
    "celery.worker.strategy": logging.WARNING,
    "celery.worker.consumer.consumer": logging.ERROR,
}
"""Libraries that write a line for every job or frame at INFO or DEBUG. The program logs these facts itself."""

_job_fields: ContextVar[dict[str, Any]] = ContextVar("job_fields")

_add_extra = structlog.stdlib.ExtraAdder()
_crash = structlog.stdlib.get_logger("worker.crash")
_own = structlog.stdlib.get_logger(__name__)

MAX_FRAMES = 25


def configure(level: str, fmt: Format, stream: TextIO | None = None) -> None:
    """Send the log lines of this process from `level` up to `stream` (default: standard error). May be called again.

    Removes the handlers that libraries have put on their own loggers. An uncaught exception in any thread becomes a log
    line too.
    """
    register_passwords()
    out = stream or sys.stderr
    handler = _Handler(outlet.of(out, _tell_dropped))
    handler.setFormatter(_formatter(fmt, coloured=_wants_colours(out)))
    _own_the_loggers(handler, level)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            _add_job_fields,
            structlog.stdlib.add_logger_name,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=False,
    )
    _hook_crashes()


def keep_celery_out(**_: object) -> None:
    """Receive Celery's `setup_logging` signal. With a receiver connected, Celery configures no logging."""


class job_context:  # noqa: N801 (used as a function)
    """Adds job, account and attempt to every line that this thread or greenlet writes in the `with` block.

    It costs less than structlog's context variables, which need one variable for each field. That matters because it is
    entered twice for each job, while lines are rare.
    """

    def __init__(self, job_id: str, account: str, attempt: int | None = None) -> None:
        self._fields: dict[str, Any] = {"job_id": job_id, "account": account}
        if attempt is not None:
            self._fields["attempt"] = attempt

    def __enter__(self) -> None:
        self._token = _job_fields.set(self._fields)

    def __exit__(self, *_: object) -> None:
        _job_fields.reset(self._token)


def _tell_dropped(lines: int) -> None:
    _own.warning("log.lines_dropped", lines=lines)


class _Handler(logging.StreamHandler[TextIO]):
    """A handler that reports a line that it could not write. `logging` would print the line's raw arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        kind = sys.exc_info()[0]
        line = {
            "timestamp": rfc3339(time.time_ns() // 1000),
            "level": "error",
            "event": "log.line_lost",
            "logger": record.name,
            "place": f"{record.module}:{record.lineno}",
            "problem": kind.__name__ if kind else None,
        }
        try:
            self.stream.write(json.dumps(line) + "\n")
        except (OSError, ValueError):
            return


def _common() -> list[Processor]:
    """Return the processors for all lines, the program's own and those of libraries, up to and including redaction."""
    return [
        structlog.stdlib.add_log_level,
        _timestamp,
        structlog.processors.StackInfoRenderer(),
        _traceback,
        redactor,
    ]


def _traceback_text(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> str:
    """Format each exception of a chain with its innermost frames only.

    A text that is too long is cut at its end, where the cause of most faults is.
    """
    return "".join(traceback.format_exception(*exc_info, limit=-MAX_FRAMES)).rstrip("\n")


_traceback = structlog.processors.ExceptionRenderer(_traceback_text)


def _formatter(fmt: Format, *, coloured: bool) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            _add_job_fields,
            structlog.stdlib.add_logger_name,
            _own_extra,
            *([_library_text] if fmt == "json" else []),
            *_common(),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _head_first,
            *_renderer(fmt, coloured=coloured),
        ],
    )


def _renderer(fmt: Format, *, coloured: bool) -> list[Processor]:
    if fmt == "json":
        return [structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [_printable, structlog.dev.ConsoleRenderer(colors=coloured, exception_formatter=plain)]


def _add_job_fields(_: object, __: str, line: EventDict) -> EventDict:
    return {**_job_fields.get({}), **line}


def _timestamp(_: object, __: str, line: EventDict) -> EventDict:
    record = line.get("_record")
    seconds = record.created if record is not None else time.time()
    line["timestamp"] = rfc3339(int(seconds * 1_000_000))
    return line


def _own_extra(logger: Any, method: str, line: EventDict) -> EventDict:
    """Add the `extra` of the program's own `logging` calls. Celery's `extra` is left out: it holds whole tasks."""
    return _add_extra(logger, method, line) if _is_own(line) else line


def _library_text(_: object, __: str, line: EventDict) -> EventDict:
    """Move the text of a library's line to `message`, so that `event` has values of a closed list only."""
    return line if _is_own(line) else {**line, "event": LIBRARY, "message": line["event"]}


def _is_own(line: EventDict) -> bool:
    return bool(line["_record"].name.startswith("worker."))


def _head_first(_: object, __: str, line: EventDict) -> EventDict:
    head = {name: line[name] for name in _HEAD if name in line}
    return {**head, **line}


def _printable(_: object, __: str, line: EventDict) -> EventDict:
    """Escape control characters, which could move the cursor or forge a line."""
    return {
        name: _without_controls(value, keep="\n\t" * (name == "exception")) for name, value in line.items()
    }


def _without_controls(value: object, keep: str) -> object:
    if not isinstance(value, str):
        return value
    encodable = value.encode("utf-8", "backslashreplace").decode()
    if encodable.isprintable():
        return encodable
    return "".join(sign if sign.isprintable() or sign in keep else ascii(sign)[1:-1] for sign in encodable)


def _wants_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _own_the_loggers(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    for name, least in _MIN_LEVELS.items():
        logging.getLogger(name).setLevel(max(least, root.level))


def _hook_crashes() -> None:
    sys.excepthook = _process_crashed
    threading.excepthook = _thread_crashed
    sys.unraisablehook = _unraisable


def _process_crashed(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, frames)
    else:
        _crash.critical("process.crashed", exc_info=(kind, error, frames))


def _thread_crashed(crash: threading.ExceptHookArgs) -> None:
    if crash.exc_value is not None and not issubclass(crash.exc_type, SystemExit):
        name = crash.thread.name if crash.thread else None
        _crash.critical(
            "thread.crashed", thread=name, exc_info=(crash.exc_type, crash.exc_value, crash.exc_traceback)
        )


def _unraisable(crash: Any) -> None:
    error = crash.exc_value
    if error is not None:
        _crash.error("exception.ignored", exc_info=(type(error), error, crash.exc_traceback))
