"""Turns each fact into one log line and the metrics that count it.

The end of a job is logged at INFO, and everything that an operator may have to act on at WARNING or ERROR. The steps
between are logged at DEBUG, because a busy worker takes a thousand of them per second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus

import structlog

from worker.core.cancels import Stays
from worker.core.events import CANCELED, Event, Status
from worker.core.jobs import Job
from worker.core.making_good import Over
from worker.core.records import Known, Lease, Reason, Source
from worker.core.retry import Tally
from worker.delivery.ports import Attempt, Conclusion, Effect, OutgoingEvent, Verdict
from worker.errors import CallError, Misconfigured, Refused
from worker.http.oddities import Oddity
from worker.provider.observers import CallResult
from worker.telemetry.account_labels import RUN
from worker.telemetry.labels import CANCELED_STATUS, RetryReason
from worker.telemetry.metrics import Metrics
from worker.telemetry.provider_outages import ProviderOutages
from worker.telemetry.troubles import Troubles

_OF_WORKERS = (Reason.NO_PLACES, Reason.PAUSED)
"""Why a job waits that no limit of its account holds back."""
_ANSWERS = (CallResult.PLACED, CallResult.REFUSED, CallResult.ACCOUNT)


class Watching:
    """The port `Watch`, the loops' `Faults`, the couriers' `DeliveryWatch` and the provider client's observer.

    Thread-safe.
    """

    def __init__(
        self,
        metrics: Metrics,
        back: Callable[[], None] = lambda: None,
        unix_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`back`: see `Troubles`."""
        self._metrics, self._unix_clock = metrics, unix_clock
        # Bound once: structlog's lazy one costs as much, each time, as a line that is not written.
        self._log = structlog.get_logger(__name__).bind()
        self._troubles, self._provider = Troubles(metrics, back, clock), ProviderOutages(clock)
        self._wrong_keys: frozenset[str] = frozenset()

    def accepted(self, account: str, job_id: str, source: Source) -> None:
        self._metrics.jobs_accepted.labels(self._metrics.account(account), source).inc()
        self._log.debug("job.accepted", job_id=job_id, account=account, source=source)

    def repeated(self, account: str, job_id: str, known: Known) -> None:
        """Count a job that is dropped, under its own `account`. A conflict counts as a repeat too."""
        label = self._metrics.account(account)
        self._metrics.duplicates.labels(label).inc()
        if not known.differs:
            self._log.info("job.repeated", job_id=job_id, account=account, state=known.state)
            return
        self._metrics.conflicts.labels(label).inc()
        self._log.warning(
            "job.conflict",
            job_id=job_id,
            account=account,
            state=known.state,
            differs=", ".join(known.differs),
        )

    def cancel_noted(self, job_id: str) -> None:
        self._log.debug("job.cancel_noted", job_id=job_id)

    def not_canceled(self, job_id: str, stays: Stays) -> None:
        self._log.info("job.not_canceled", job_id=job_id, account=stays.account, state=stays.state)

    def parked(self, job: Job, reason: Reason, until_us: int) -> None:
        self._log.debug("job.parked", job_id=job.id, account=job.account, reason=reason, until_us=until_us)

    def leased(self, lease: Lease) -> None:
        """Observe the wait before the lease, if there was one, in `job_wait_seconds`."""
        if lease.waited_for is not None:
            self._metrics.job_wait_seconds.labels(lease.waited_for).observe(lease.waited_seconds)
        self._log.debug(
            "job.leased",
            job_id=lease.job.id,
            account=lease.job.account,
            probe=lease.probe,
            waited_for=lease.waited_for,
            waited_seconds=round(lease.waited_seconds, 3),
        )

    def first_request(self, lease: Lease, seconds: float) -> None:
        """Observe the time to the first request of a job that no limit of its account made wait."""
        if lease.waited_for is None or lease.waited_for in _OF_WORKERS:
            exemplar = self._metrics.first_send_exemplars.of(lease.job.id, seconds)
            self._metrics.first_send_seconds.observe(seconds, exemplar)

    def retrying(self, job: Job, error: CallError, tally: Tally, wait_seconds: float) -> None:
        self._metrics.accounts.failed(job.account)
        reason = RetryReason.of(error)
        self._metrics.retries.labels(self._metrics.account(job.account), reason).inc()
        self._log.info(
            "call.retrying",
            job_id=job.id,
            account=job.account,
            reason=reason,
            **_why(error),
            requests=tally.sent,
            wait_seconds=round(wait_seconds, 3),
        )
        self._provider.failed(job, error)

    def held(self, job: Job, error: CallError) -> None:
        self._metrics.accounts.failed(job.account, RUN)
        self._count_refusal(job, error)
        self._log.warning(
            "account.held", job_id=job.id, account=job.account, error_code=error.code, problem=error.message
        )

    def lease_lost(self, job: Job) -> None:
        self._metrics.leases_lost.labels(self._metrics.account(job.account)).inc()
        self._log.warning("job.lease_lost", job_id=job.id, account=job.account)

    def refused(self, job: Job, error: CallError) -> None:
        """Report the error that ended the job. A call of `finished` follows with the outcome."""
        fields = {
            "job_id": job.id,
            "account": job.account,
            "error_code": error.code[:64],
            **_why(error),
        }
        if isinstance(error, Misconfigured):
            self._log.error("provider.misconfigured", **fields)
        elif not isinstance(error, Refused):
            self._log.debug("call.given_up", **fields)
        else:
            self._count_refusal(job, error)
            if error.known:
                self._log.debug("call.refused", **fields)
            else:
                self._log.warning("provider.unknown_code", **fields)
        self._provider.failed(job, error)

    def finished(self, job_id: str, account: str, event: Event, code: str, seconds: float) -> None:
        """Count a job that has ended. `code` is that of its error, or empty; `seconds` is the time since acceptance."""
        self._metrics.jobs_ended.inc()
        canceled = code == CANCELED
        if event.status is Status.PLACED:
            self._metrics.accounts.succeeded(account)
        elif not canceled:
            self._metrics.accounts.failed(account)
        label = self._metrics.account(account)
        self._metrics.jobs_finished.labels(label, CANCELED_STATUS if canceled else event.status).inc()
        exemplar = self._metrics.job_exemplars.of(job_id, seconds, label)
        self._metrics.job_seconds.labels(label).observe(seconds, exemplar)
        fields = {"error_code": code} if code else {}
        tell = self._log.warning if event.status is Status.UNKNOWN else self._log.info
        tell(
            event.type,
            job_id=job_id,
            event_id=event.id,
            account=account,
            seconds=round(seconds, 3),
            **fields,
        )

    def request_done(self, job: Job, result: CallResult, seconds: float, status: int | None) -> None:
        """Count a request to the provider that has ended. `seconds` is its time without the wait for its slot."""
        label = self._metrics.account(job.account)
        self._metrics.provider_requests.labels(label, result).inc()
        exemplar = self._metrics.provider_exemplars.of(job.id, seconds)
        self._metrics.provider_request_seconds.observe(seconds, exemplar)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self._metrics.provider_throttled.labels(label).inc()
        if result in _ANSWERS:
            self._provider.answered(job.account)

    def answered_oddly(self, job: Job, oddities: Collection[Oddity]) -> None:
        """Report an answer of the provider that was unusual but understood. An unusual ref is a warning."""
        for oddity in oddities:
            self._metrics.provider_oddities.labels(self._metrics.account(job.account), oddity).inc()
        tell = self._log.warning if Oddity.REF in oddities else self._log.info
        tell("provider.odd_answer", job_id=job.id, account=job.account, oddities=sorted(oddities))

    def webhook_attempted(self, account: str, attempt: Attempt) -> None:
        """Count a webhook request. The courier writes the log line, because it knows what follows."""
        self._metrics.webhook_attempts.labels(self._metrics.account(account), attempt.result).inc()
        self._metrics.webhook_attempt_seconds.observe(attempt.seconds)

    def webhook_concluded(self, endpoint: str, conclusion: Conclusion, effect: Effect) -> None:
        """Count the attempt at its endpoint, and the time from the event to a 2xx answer once that is on record.

        That time is right if `unix_clock` is Redis' clock.
        """
        delivery, attempt = conclusion.delivery, conclusion.attempt
        labels = self._metrics.endpoint(delivery.account, endpoint)
        if attempt is not None:
            self._metrics.webhook_endpoint_attempts.labels(*labels, attempt.result).inc()
        if effect.recorded and conclusion.verdict is Verdict.DELIVERED:
            seconds = self._unix_clock() - delivery.finished_at_us / 1_000_000
            self._metrics.webhook_delivery_seconds.labels(*labels).observe(max(seconds, 0.0))

    def results_published(self, events: Sequence[OutgoingEvent]) -> None:
        """Count events that the broker has just confirmed, and for those of jobs observe the time since the end.

        That time is right if `unix_clock` is Redis' clock.
        """
        self._metrics.results_published.inc(len(events))
        now = self._unix_clock()
        for event in events:
            if (ended_at := event.ended_at) is not None:
                self._metrics.publish_seconds.observe(max(now - ended_at, 0.0))

    def drain_began(self, reason: str) -> None:
        self._log.warning("drain.began", reason=reason)

    def drain_ended(self) -> None:
        self._log.info("drain.ended")

    def backlog_full(self, unpublished: int) -> None:
        """Report that more events wait for the results queue than allowed, so nothing is dialled."""
        self._log.critical("results.backlog_full", unpublished=unpublished)

    def backlog_cleared(self, unpublished: int) -> None:
        self._log.info("results.backlog_cleared", unpublished=unpublished)

    def results_refused(self, problem: str) -> None:
        """Report that the broker refuses events, so nothing is dialled."""
        self._log.critical("results.refused", problem=problem)

    def results_accepted(self) -> None:
        self._log.info("results.accepted")

    def stalled(self, loop: str, where: str) -> None:
        """Report a loop that is stuck. `where` names the places in the code where it is."""
        self._metrics.loop_failures.labels(loop).inc()
        self._log.error("loop.stalled", loop=loop, where=where)

    def restarted(self, loop: str) -> None:
        """Report a loop that was stuck and whose connection was cut, so that it connects again."""
        self._metrics.loop_failures.labels(loop).inc()
        self._log.error("loop.restarted", loop=loop)

    def wrong_keys(self, keys: frozenset[str]) -> None:
        """Report keys of a Redis broker with a wrong type: each key once, and once when it is right again."""
        for key in sorted(keys - self._wrong_keys):
            self._log.error("key.wrong_type", redis_key=key)
        for key in sorted(self._wrong_keys - keys):
            self._log.info("key.right_again", redis_key=key)
        for key in keys ^ self._wrong_keys:
            self._metrics.wrong_keys.labels(key).set(key in keys)
        self._wrong_keys = keys

    def set_back(self, shards: int) -> None:
        """Report shards of the store that went back in time, and are held."""
        self._metrics.store_set_back.inc(shards)
        self._metrics.shards_held.inc(shards)
        self._log.error("store.set_back", shards=shards)

    def made_good(self, over: Over, shards: int) -> None:
        """Report that they are held no more."""
        self._metrics.shards_held.set(0)
        self._log.warning(
            "store.made_good",
            shards=shards,
            put_back=over.put_back,
            perhaps_rung=over.perhaps_rung,
            all_known=over.all_known,
            seconds=round(over.seconds, 1),
        )

    def progress(self) -> None:
        """Note that all loops turn, and report outages that are over."""
        self._metrics.last_progress.set_to_current_time()
        self._troubles.tell_what_is_over()

    def loop_failed(self, loop: str, error: Exception) -> None:
        self._troubles.loop_failed(loop, error)

    def loop_recovered(self, loop: str) -> None:
        self._troubles.loop_recovered(loop)

    def _count_refusal(self, job: Job, error: CallError) -> None:
        account, code = self._metrics.account(job.account), self._metrics.code(error.code)
        self._metrics.provider_errors.labels(account, code).inc()


def _why(error: CallError) -> dict[str, str]:
    """Return the log fields for an error, with the cause if no answer came."""
    problem = {"problem": error.message}
    return problem if error.cause is None else {"cause": error.cause.value} | problem
