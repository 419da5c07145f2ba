"""Declares every metric of the program, with its help text and labels, as a list for operators.

Names begin with `callworker_`, and times are in seconds. All labels have closed sets of values; those of `account` are
chosen by `worker.telemetry.account_labels`, those of `endpoint` are the names of an account's webhooks and "other". The
metrics here count in this process; a series with an account appears when it is first counted. The metrics of
`worker.telemetry.shared_metrics` describe all workers together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from worker import __version__
from worker.core.endpoints import Endpoint
from worker.core.records import Reason
from worker.telemetry.account_labels import AccountLabels
from worker.telemetry.exemplars import Exemplars
from worker.telemetry.labels import OTHER, PROVIDER_CODES, UNKNOWN_CODE
from worker.telemetry.series import Labelled

MOST_ACCOUNTS = 200
"""How many accounts have names of their own by default. See `AccountLabels`."""
EXCHANGE_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60)
"""Buckets for one HTTP exchange. The provider usually takes a second; its time limit is 15 s unless set otherwise."""
WAIT_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Buckets for a job's wait or whole life, up to an hour. A job expires after 600 s by default."""
OBJECTIVE_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
"""Buckets of the times that objectives are about: 5 s and 10 s are bounds, so that the share within them is exact."""
DELIVERY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 600, 3600, 21600, 86400, 270000)
"""Buckets from an event to a 2xx answer, which may come at once or to the last attempt, after 75 h."""


class Metrics:
    """The metrics of one process, in their own registry."""

    def __init__(self, provider_codes: Iterable[str] = PROVIDER_CODES) -> None:
        """`provider_codes` adds to the values of the label `code`. All other codes count as "unknown"."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.provider_codes = frozenset({*PROVIDER_CODES, *provider_codes})
        self.accounts = AccountLabels((), MOST_ACCOUNTS, self._forget)
        self._endpoints: dict[tuple[str, str], str] = {}
        self._of_accounts: list[Labelled[Counter] | Labelled[Histogram]] = []
        self._declare_process()
        self._declare_jobs()
        self._declare_times()
        self._declare_provider()
        self._declare_calls()
        self._declare_delivery()

    def _declare_process(self) -> None:
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.accounts_files = self._gauge(
            "accounts_files",
            "Different accounts files of all living workers: 1, except during a rolling deploy (log: "
            "`accounts.files_differ`).",
        )
        self.accounts_file = Info(
            "callworker_accounts_file",
            "The accounts file that this worker uses, by a hash of what it says.",
            registry=self.registry,
        )
        self.accounts_file_refused = self._gauge(
            "accounts_file_refused",
            "1 while the accounts file, as it is now, cannot be used and the one before stays in use (log: "
            "`accounts.refused`).",
        )
        self.build = Info("callworker_build", "The running version.", registry=self.registry)
        self.build.info({"version": __version__})
        self.last_progress = self._gauge(
            "last_progress_timestamp_seconds", "Unix time when a loop of this process last made a turn."
        )
        self.store_set_back = self._counter(
            "store_set_back",
            "Shards of Redis' state that this worker found back at an earlier time, each time that it did (log: "
            "`store.set_back`).",
        )
        self.shards_held = self._gauge(
            "shards_held",
            "Shards of Redis' state that went back in time and are held while workers put back what they know (log, "
            "once none is: `store.made_good`).",
        )
        self.log_lines_dropped = self._counter(
            "log_lines_dropped",
            "Log lines that were dropped because nobody read the log (log, once it is read again: "
            "`log.lines_dropped`).",
        )
        self.loop_failures = self._counters(
            "loop_failures", "Turns of a loop that ended in a fault of the program itself.", "loop"
        )

    def _declare_jobs(self) -> None:
        self.jobs_accepted = self._counters(
            "jobs_accepted", "Jobs accepted, by the way in which they came in.", "account", "source"
        )
        self.duplicates = self._counters(
            "duplicates",
            "Jobs dropped because their id was accepted before, conflicts among them.",
            "account",
        )
        self.conflicts = self._counters(
            "conflicts",
            "Dropped jobs that differ from the first job with their id, by the account of the later one (log: "
            "`job.conflict`).",
            "account",
        )
        self.jobs_ended = Counter(
            "jobs_ended", "Jobs that ended, for the last line of the log.", registry=None
        )
        self.jobs_finished = self._counters(
            "jobs_finished",
            "Jobs that ended, by terminal status; `expired` does not count those that were canceled.",
            "account",
            "status",
        )

    def _declare_times(self) -> None:
        self.job_seconds = self._histograms(
            "job_seconds", "From a job's acceptance to its end.", WAIT_SECONDS, "account"
        )
        self.job_exemplars = Exemplars(WAIT_SECONDS)
        self.job_wait_seconds = self._histograms(
            "job_wait_seconds", "One wait in an account's lane, by reason.", WAIT_SECONDS, "reason"
        )
        self.first_send_seconds = self._histogram(
            "first_send_seconds",
            "From a job's acceptance to its first request, of jobs that no limit of their account held back.",
            OBJECTIVE_SECONDS,
        )
        self.first_send_exemplars = Exemplars(OBJECTIVE_SECONDS)
        self.leases_lost = self._counters(
            "leases_lost", "Jobs whose lease another worker took over before this one was done.", "account"
        )

    def _declare_provider(self) -> None:
        self.provider_requests = self._counters(
            "provider_requests", "Requests to the provider, by how they ended.", "account", "result"
        )
        self.provider_request_seconds = self._histogram(
            "provider_request_seconds", "One request to the provider, until its answer.", EXCHANGE_SECONDS
        )
        self.provider_exemplars = Exemplars(EXCHANGE_SECONDS)
        self.provider_throttled = self._counters(
            "provider_throttled", "Answers of the provider with HTTP status 429.", "account"
        )
        self.provider_errors = self._counters(
            "provider_errors",
            "Refusals by the provider's error code; `unknown` for a code that no table lists.",
            "account",
            "code",
        )
        self.provider_oddities = self._counters(
            "provider_oddities",
            "Answers that were unusual and understood, by what was unusual (log: `provider.odd_answer`).",
            "account",
            "oddity",
        )

    def _declare_calls(self) -> None:
        self.retries = self._counters(
            "retries",
            "Further requests for a job, by reason; `perhaps_rung` counts redials.",
            "account",
            "reason",
        )
        self.wrong_keys = self._gauge(
            "wrong_keys",
            "1 for each key of a Redis broker that has a wrong type: nothing is taken from it until an operator "
            "corrects it.",
            "key",
        )
        self.calls_in_flight = self._gauge(
            "calls_in_flight", "Requests to the provider that are in flight in this process."
        )

    def _declare_delivery(self) -> None:
        self.results_published = self._counter(
            "results_published", "Events that the broker confirmed, repeats included."
        )
        self.publish_seconds = self._histogram(
            "publish_seconds",
            "From a job's end to the broker's confirmation of its event; again for an event that is repeated.",
            OBJECTIVE_SECONDS,
        )
        self.webhook_attempts = self._counters(
            "webhook_attempts", "Webhook requests, by how they ended.", "account", "result"
        )
        self.webhook_attempt_seconds = self._histogram(
            "webhook_attempt_seconds", "One webhook request, until its answer.", EXCHANGE_SECONDS
        )
        self.webhook_endpoint_attempts = self._counters(
            "webhook_endpoint_attempts",
            "Webhook requests of an endpoint, by how they ended.",
            "account",
            "endpoint",
            "result",
        )
        self.webhook_delivery_seconds = self._histograms(
            "webhook_delivery_seconds",
            "From a job's end to the 2xx answer of the endpoint; for a replay too.",
            DELIVERY_SECONDS,
            "account",
            "endpoint",
        )

    def initialise(
        self,
        accounts: Iterable[str],
        endpoints: Iterable[tuple[str, Endpoint]] = (),
        most: int = MOST_ACCOUNTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use the names as values of the labels `account` and `endpoint`. `most`: see `AccountLabels`.

        `endpoints` has each webhook with its account's name.
        """
        self.accounts = AccountLabels((), most, self._forget, clock)
        self.use(accounts, endpoints)
        for reason in Reason:
            self.job_wait_seconds.labels(reason)

    def use(self, accounts: Iterable[str], endpoints: Iterable[tuple[str, Endpoint]]) -> None:
        """Use these names from now on; see `initialise`."""
        self.accounts.use(accounts)
        self._endpoints = {(name, key): hook.key for name, hook in endpoints for key in hook.keys}

    def count_finished(self) -> int:
        """Return how many jobs this process has ended, with any status."""
        return round(sum(sample.value for family in self.jobs_ended.collect() for sample in family.samples))

    def account(self, name: str) -> str:
        """Return the label for an account: its name, "other", or "(unknown)" if the accounts file does not have it."""
        return self.accounts.of(name)

    def endpoint(self, account: str, key: str) -> tuple[str, str]:
        """Return the labels `account` and `endpoint`.

        The endpoint is "other" if the accounts file does not have it, and if its account is "other".
        """
        label = self.account(account)
        return label, OTHER if label == OTHER else self.endpoint_name(account, key)

    def endpoint_name(self, account: str, key: str) -> str:
        """Return the name of an endpoint in the accounts file, "other" if it is not there."""
        return self._endpoints.get((account, key), OTHER)

    def code(self, code: str) -> str:
        """Return the label for a provider's error code: the code if it is a known one, else "unknown"."""
        return code if code in self.provider_codes else UNKNOWN_CODE

    def _forget(self, account: str) -> None:
        for metric in self._of_accounts:
            metric.forget(account)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"callworker_{name}", text, registry=self.registry)

    def _counters(self, name: str, text: str, *labels: str) -> Labelled[Counter]:
        counters = Labelled(Counter(f"callworker_{name}", text, labels, registry=self.registry), labels)
        self._of_accounts.append(counters)
        return counters

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"callworker_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"callworker_{name}", text, buckets=buckets, registry=self.registry)

    def _histograms(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Labelled[Histogram]:
        metric = Histogram(f"callworker_{name}", text, labels, buckets=buckets, registry=self.registry)
        histograms = Labelled(metric, labels)
        self._of_accounts.append(histograms)
        return histograms
