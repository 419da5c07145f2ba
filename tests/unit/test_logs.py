"""What a log line looks like, and that every writer's lines go the same way."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from celery import Celery, signals

from worker.privacy.redaction import redactor, register_secret
from worker.telemetry import logs, outlet


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Gives every logger, hook and structlog setting back."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    before = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    for logger, level, propagate, handlers in before:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    """The stream of the lines, configured for JSON at DEBUG."""
    stream = io.StringIO()
    logs.configure("DEBUG", "json", stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def only_line(stream: io.StringIO) -> dict[str, Any]:
    (line,) = lines(stream)
    return line


def test_line_has_time_level_event_and_logger_first(stream: io.StringIO) -> None:
    """One JSON object a line, in an order that a person can read too."""
    structlog.get_logger("worker.core.verify").info("call.placed", attempts=1)
    line = only_line(stream)
    assert list(line) == ["timestamp", "level", "event", "logger", "attempts"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert (line["level"], line["event"], line["logger"]) == ("info", "call.placed", "worker.core.verify")


def test_library_line_has_the_same_shape(stream: io.StringIO) -> None:
    """A line from `logging` has an event of the closed list too; its text, which may be any, is in `message`."""
    logging.getLogger("celery.worker").warning("consumer: %s", "lost")
    line = only_line(stream)
    assert list(line) == ["timestamp", "level", "event", "logger", "message"]
    assert (line["level"], line["event"], line["logger"]) == ("warning", "library", "celery.worker")
    assert line["message"] == "consumer: lost"


def test_job_context_is_bound_to_every_line_within(stream: io.StringIO) -> None:
    """Own lines and a library's; and no longer afterwards."""
    with logs.job_context("job-1", "acme", 2):
        structlog.get_logger("worker.x").info("call.retrying")
        logging.getLogger("redis").error("lost")
    structlog.get_logger("worker.x").info("job.parked")
    own, foreign, after = lines(stream)
    for line in (own, foreign):
        assert (line["job_id"], line["account"], line["attempt"]) == ("job-1", "acme", 2)
    assert not {"job_id", "account", "attempt"} & set(after)


def test_job_context_stays_in_its_thread(stream: io.StringIO) -> None:
    """A dial thread's job is not bound to another thread's lines."""
    with logs.job_context("job-1", "acme"):
        thread = threading.Thread(target=lambda: structlog.get_logger("worker.x").info("loop.turned"))
        thread.start()
        thread.join()
    assert "job_id" not in only_line(stream)


def test_own_line_is_redacted_before_any_handler(stream: io.StringIO) -> None:
    """A handler that someone else adds to the root gets the redacted line too."""
    seen: list[str] = []
    other = logging.Handler()
    other.emit = lambda record: seen.append(str(record.msg))  # type: ignore[method-assign]
    logging.getLogger().addHandler(other)
    structlog.get_logger("worker.x").info("call.placed", phone="2125555555", job={"code": "7391"})
    assert "7391" not in seen[0] and "2125555555" not in seen[0]
    assert only_line(stream)["phone"] == "******5555"


@pytest.mark.parametrize(
    "name", ["celery", "kombu", "urllib3.connectionpool", "amqp", "redis", "py.warnings"]
)
def test_library_line_is_redacted(stream: io.StringIO, name: str) -> None:
    """Arguments of foreign log calls are searched once they stand in the text."""
    logging.getLogger(name).warning(
        "task(%s) at %s", {"code": "7391", "phone": "2125555555"}, "redis://:pw9@h/0"
    )
    assert not re.search("7391|2125555555|pw9", stream.getvalue())
    assert only_line(stream)["logger"] == name


def test_traceback_is_redacted_and_has_no_locals(stream: io.StringIO) -> None:
    """The exception's arguments are searched, local variables are not shown at all."""
    hidden_local = "tulip" + str(8) * 3
    try:
        raise ValueError({"code": int("7391"), "kept": "reason"})
    except ValueError:
        structlog.get_logger("worker.x").exception("loop.failed")
    text = only_line(stream)["exception"]
    assert "Traceback" in text and "ValueError" in text and "reason" in text
    assert "{'code': 7391" not in text and hidden_local not in text


def test_traceback_of_a_deep_chain_ends_with_its_last_error(stream: io.StringIO) -> None:
    """The innermost of many frames are shown, so that the error itself is not cut off."""

    def fall(levels: int) -> None:
        if levels == 0:
            raise ValueError("the cause")
        fall_on(levels)

    def fall_on(levels: int) -> None:
        fall(levels - 1)

    try:
        try:
            fall(150)
        except ValueError as error:
            raise RuntimeError("the end") from error
    except RuntimeError:
        structlog.get_logger("worker.x").exception("loop.failed")
    text = only_line(stream)["exception"]
    assert "ValueError: the cause" in text and text.endswith("RuntimeError: the end")


def test_a_stream_with_a_descriptor_is_written_by_another_thread(tmp_path: Path) -> None:
    """Another thread writes the lines; all are there once the log is drained, the console's too."""
    for fmt in ("json", "console"):
        with (tmp_path / fmt).open("w") as file:
            logs.configure("INFO", fmt, file)
            for n in range(100):
                structlog.get_logger("worker.x").info("call.placed", attempts=n)
            outlet.drain(30)
        text = (tmp_path / fmt).read_text()
        assert text.count("call.placed") == 100 and "99" in text


def test_registered_secret_never_shows(stream: io.StringIO) -> None:
    """A key is registered once, where it is read."""
    try:
        register_secret("tulip-tulip-tulip")
        structlog.get_logger("worker.x").info("x.y", note="got tulip-tulip-tulip")
        logging.getLogger("kombu").error("got tulip-tulip-tulip")
    finally:
        redactor.__init__()  # type: ignore[misc]
    assert "tulip" not in stream.getvalue()


def test_line_that_cannot_be_formatted_shows_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """`logging` itself would print the raw arguments to standard error."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)  # here, for it takes pytest's own handlers off
    logging.getLogger("celery").error("%d jobs", "code 7391")
    line = only_line(stream)
    assert (line["event"], line["logger"], line["problem"]) == ("log.line_lost", "celery", "TypeError")
    assert "7391" not in stream.getvalue() + capsys.readouterr().err


def test_stream_that_is_closed_stops_nothing() -> None:
    """The program goes on if its log stream is closed."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    stream.close()
    structlog.get_logger("worker.x").info("x.y")


def test_uncaught_error_of_a_thread_is_a_redacted_line(stream: io.StringIO) -> None:
    """No thread's raw traceback reaches standard error."""

    def fail() -> None:
        raise RuntimeError("code=" + "7391")

    thread = threading.Thread(target=fail, name="dial-1")
    thread.start()
    thread.join()
    line = only_line(stream)
    assert (line["event"], line["thread"]) == ("thread.crashed", "dial-1")
    assert "code=[redacted]" in line["exception"] and "7391\n" not in line["exception"]


def test_uncaught_error_of_the_process_is_a_redacted_line(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same for the main thread; Ctrl-C stays what it is."""
    sys.excepthook(RuntimeError, RuntimeError("code=7391"), None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    line = only_line(stream)
    assert line["event"] == "process.crashed" and "7391" not in stream.getvalue()
    assert capsys.readouterr().err.strip() == "KeyboardInterrupt"


def test_error_in_a_finalizer_is_a_redacted_line(stream: io.StringIO) -> None:
    """An error that Python itself would only print becomes a line of the log."""
    error = RuntimeError("code=7391")
    crash: Any = SimpleNamespace(exc_type=RuntimeError, exc_value=error, exc_traceback=None)
    sys.unraisablehook(crash)
    assert only_line(stream)["event"] == "exception.ignored" and "7391" not in stream.getvalue()


def test_warning_is_a_redacted_line(stream: io.StringIO) -> None:
    """Python's warnings go the same way."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("phone=" + "2125555555", stacklevel=1)
    assert only_line(stream)["logger"] == "py.warnings"
    assert "phone=******5555" in only_line(stream)["message"]


def test_level_holds_for_own_and_foreign_lines() -> None:
    """LOG_LEVEL is the least that is shown."""
    stream = io.StringIO()
    logs.configure("WARNING", "json", stream)
    for log in (structlog.get_logger("worker.x"), logging.getLogger("celery.apps")):
        log.info("hidden")
        log.warning("shown")
    own, foreign = lines(stream)
    assert own["event"] == foreign["message"] == "shown"


@pytest.mark.parametrize("name", ["amqp", "kombu.pidbox", "urllib3.connectionpool", "celery.worker.strategy"])
def test_chatty_library_is_quiet_below_warning(stream: io.StringIO, name: str) -> None:
    """Lines for every frame or task would cost more than they tell."""
    logging.getLogger(name).info("task received")
    logging.getLogger(name).warning("trouble")
    assert only_line(stream)["message"] == "trouble"


def test_handlers_of_libraries_are_taken_off() -> None:
    """A library that configured a logger of its own cannot pass redaction by."""
    library, own = logging.getLogger("library.x"), io.StringIO()
    library.addHandler(logging.StreamHandler(own))
    library.propagate = False
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    library.warning("code=7391")
    assert own.getvalue() == "" and only_line(stream)["message"] == "code=[redacted]"


def test_own_extra_fields_are_shown_and_foreign_ones_are_not(stream: io.StringIO) -> None:
    """Celery attaches whole tasks to its records."""
    logging.getLogger("worker.embedded").warning("embedded.restarted", extra={"state_dir": "/tmp/x"})
    logging.getLogger("celery.app").warning("task", extra={"data": {"args": ("7391",)}})
    own, foreign = lines(stream)
    assert own["state_dir"] == "/tmp/x" and "data" not in foreign and "7391" not in stream.getvalue()


def test_celery_leaves_logging_alone(stream: io.StringIO) -> None:
    """Celery's own set-up changes no handler once the receiver is connected."""
    signals.setup_logging.connect(logs.keep_celery_out)
    try:
        handlers = list(logging.getLogger().handlers)
        Celery("x", set_as_current=False).log.setup_logging_subsystem(loglevel="INFO")
    finally:
        signals.setup_logging.disconnect(logs.keep_celery_out)
    assert logging.getLogger().handlers == handlers


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "no_colour", "coloured"),
    [(_Terminal(), "", True), (_Terminal(), "1", False), (io.StringIO(), "", False)],
)
def test_console_is_coloured_on_a_terminal_only(
    stream: io.StringIO, no_colour: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Colours appear on a terminal only, and not if NO_COLOR is set."""
    monkeypatch.setenv("NO_COLOR", no_colour)
    logs.configure("INFO", "console", stream)
    structlog.get_logger("worker.x").info("call.placed", attempts=1)
    assert ("\x1b[" in stream.getvalue()) is coloured
    assert "call.placed" in stream.getvalue() and "attempts" in stream.getvalue()


def test_foreign_text_cannot_forge_a_console_line() -> None:
    """Line ends and escape sequences are shown as what they are."""
    stream = io.StringIO()
    logs.configure("INFO", "console", stream)
    logging.getLogger("x").warning("a\x1b[2K\r\nforged [info] call.placed \ud800")
    assert len(stream.getvalue().splitlines()) == 1 and "\x1b" not in stream.getvalue()


def test_traceback_on_the_console_keeps_its_lines() -> None:
    """It is there to be read."""
    stream = io.StringIO()
    logs.configure("INFO", "console", stream)
    try:
        raise ValueError("reason")
    except ValueError:
        structlog.get_logger("worker.x").exception("loop.failed")
    assert "ValueError: reason" in stream.getvalue().splitlines()
