"""Answers signals in the log, without showing any value of the program.

Celery answers SIGUSR1 by printing all local variables, and SIGUSR2 by opening a debugger to anybody who connects. Both
would show PINs and phone numbers. It answers a signal to stop on standard error, where a full pipe would block it
forever. At a terminal it leaves SIGHUP to the system, which ends the process in the middle of its calls; elsewhere it
answers it by a restart, where a worker has the accounts file read again.
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


def answer_signals(reread: Callable[[], object]) -> None:
    """Answer signals in place of Celery from now on. Call it in the main thread.

    `reread` is called at SIGHUP, but for a worker at a terminal, where SIGHUP says that the terminal is closed.
    """
    celery_worker.safe_say = _say
    for number in SIGNALS:
        signal.signal(number, _answer)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # The terminal is closed: finish the calls in flight, as on SIGTERM.
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
    else:
        signal.signal(signal.SIGHUP, lambda *_: _aside(reread))


def _say(message: str, *_: object) -> None:
    _aside(lambda: log.info("worker.signalled", message=message))


def _answer(*_: object) -> None:
    _aside(_tell)


def _aside(work: Callable[[], object]) -> None:
    """Do the work in another thread: a signal may come while this thread holds a lock of the log."""
    threading.Thread(target=work, name="signals", daemon=True).start()


def _tell() -> None:
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            log.info("thread.stack", thread=thread.name, at=whereabouts(thread))
