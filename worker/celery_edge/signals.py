"""What the worker says when it is sent a signal: in the log, without any value of the program.

Celery's own answer to SIGUSR1 prints all local variables, and to SIGUSR2 it may open a debugger to whoever connects:
both would show PINs and numbers. What it says to a signal to stop it writes to standard error, where a full pipe would
keep it for ever.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import structlog
from celery.apps import worker as celery_worker

from worker.telemetry.threads import whereabouts

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)

log = structlog.get_logger(__name__)


def answer_signals() -> None:
    """Answer from now on in place of Celery; for the main thread."""
    celery_worker.safe_say = _say
    for number in SIGNALS:
        signal.signal(number, _answer)


def _say(message: str, *_: object) -> None:
    _aside(lambda: log.info("worker.signalled", said=message))


def _answer(*_: object) -> None:
    _aside(_tell)


def _aside(work: Callable[[], object]) -> None:
    """Do it in a thread of its own: a signal comes at any moment, also while this thread holds a lock of the log."""
    threading.Thread(target=work, name="signals", daemon=True).start()


def _tell() -> None:
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            log.info("thread.stack", thread=thread.name, at=whereabouts(thread))
