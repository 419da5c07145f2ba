"""All jobs on their way, and who is worst off."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.dashboards import now
from ops.dashboards.frame import assemble
from ops.dashboards.panels import Panel, Steps, heat, lines, listing, logarithmic
from ops.dashboards.promql import increased, quantile, rate, shared_sum, worst

OBJECTIVES: Steps = {5: "orange", 10: "red"}
"""The two times, in seconds, by which first sends and publications are judged."""
LOST = '{result=~"not_rung|perhaps_rung|misconfigured"}'
TO_ACCOUNT = (
    "Open this account",
    "/d/callworker-account?var-account=${__data.fields.account}&${__url_time_range}",
)


def dashboard() -> Dashboard:
    rows = {
        "Now": now.tiles(),
        "Jobs": _jobs(),
        "Waiting": _waiting(),
        "Provider": _provider(),
        "Objectives": _objectives(),
        "Results": _results(),
        "Workers": _workers(),
    }
    return assemble(
        "overview", "What is wrong now, and a job's path from accepted to published, over all workers.", rows
    )


def _jobs() -> list[Panel]:
    return [
        lines(
            "Accepted, by way in",
            "Jobs accepted a second, and those that had been accepted before.",
            "cps",
            {
                "{{source}}": rate("callworker_jobs_accepted_total", "source"),
                "duplicates": rate("callworker_duplicates_total"),
            },
            ["CallworkerQueueNotTaken"],
        ),
        lines(
            "Ended, by status",
            "Jobs that ended a second. Expired ones were not dialled in time; for unknown ones the answer was lost.",
            "cps",
            {"{{status}}": rate("callworker_jobs_finished_total", "status")},
            ["CallworkerJobsFailing", "CallworkerExpired"],
            stacked=True,
        ),
        lines(
            "Share expired, worst accounts",
            "Share of the jobs that ended as expired, for the ten accounts with the highest.",
            "percentunit",
            {"{{account}}": worst(_share("expired"))},
            ["CallworkerExpired"],
            top=1,
        ),
    ]


def _share(status: str) -> str:
    part = rate(f'callworker_jobs_finished_total{{status="{status}"}}', "account")
    return f"{part} / {rate('callworker_jobs_finished_total', 'account')}"


def _waiting() -> list[Panel]:
    return [
        lines(
            "Waiting, by reason",
            "Jobs in the accounts' lanes. `no_places` means too few workers.",
            "short",
            {"{{reason}}": shared_sum("callworker_jobs_waiting", "reason")},
            ["CallworkerNoPlaces"],
            stacked=True,
        ),
        lines(
            "Waiting, largest accounts",
            "Jobs in the lanes of the ten accounts with the most.",
            "short",
            {"{{account}}": worst(shared_sum("callworker_jobs_waiting", "account"))},
            ["CallworkerExpiringSoon"],
        ),
        lines(
            "Oldest waiting as a share of its time, worst accounts",
            "At 100 % the job expires. The ten accounts with the highest share.",
            "percentunit",
            {"{{account}}": worst("max by (account) (callworker_oldest_waiting_ratio)")},
            ["CallworkerExpiringSoon"],
            marks={0.5: "orange", 1: "red"},
        ),
        lines(
            "Length of a wait, by reason",
            "99 of 100 waits in a lane are shorter, over all accounts.",
            "s",
            {"{{reason}}": quantile(0.99, "callworker_job_wait_seconds", "reason")},
        ),
        lines(
            "Held accounts, by reason",
            "Accounts whose jobs wait because the provider refuses the account, or an operator holds it.",
            "short",
            {"{{reason}}": "count by (reason) (max by (account, reason) (callworker_account_held) > 0)"},
            ["CallworkerAccountHeld"],
            stacked=True,
        ),
        listing(
            "Accounts with the oldest jobs",
            "Age of the oldest waiting job, for the twenty accounts with the highest. A row leads to its account.",
            "s",
            worst("max by (account) (callworker_oldest_waiting_seconds)", 20),
            TO_ACCOUNT,
            ["CallworkerExpiringSoon"],
        ),
    ]


def _provider() -> list[Panel]:
    requests = "callworker_provider_requests_total"
    tried = f"sum by (account) ({increased(requests, '5m')})"
    lost = f"sum by (account) ({increased(requests + LOST, '5m')})"
    return [
        lines(
            "Requests, by result",
            "Requests to the provider a second. `not_rung` was turned away, `perhaps_rung` had its answer lost.",
            "reqps",
            {"{{result}}": rate(requests, "result")},
            ["CallworkerProviderErrors"],
            stacked=True,
        ),
        heat(
            "Latency",
            "How long requests to the provider took until their answer.",
            "callworker_provider_request_seconds_bucket",
        ),
        lines(
            "Latency, typical and slow",
            "Half of the requests are answered faster than the first line, 99 of 100 faster than the second.",
            "s",
            {
                "half": quantile(0.5, "callworker_provider_request_seconds"),
                "99 of 100": quantile(0.99, "callworker_provider_request_seconds"),
            },
            ["CallworkerProviderErrors"],
        ),
        lines(
            "Requests without an answer, worst accounts",
            "Share of the requests of five minutes, for the ten accounts with the highest.",
            "percentunit",
            {"{{account}}": worst(f"{lost} / {tried}")},
            ["CallworkerProviderFailing"],
            top=1,
        ),
        lines(
            "Throttled, worst accounts",
            "Answers 429 a second, for the ten accounts with the most. Their limit is set too high.",
            "reqps",
            {"{{account}}": worst(rate("callworker_provider_throttled_total", "account"))},
            ["CallworkerThrottled"],
        ),
        lines(
            "Refusals, by code",
            "Refusals by the provider a second. `unknown` is a code that no table lists.",
            "reqps",
            {"{{code}}": rate("callworker_provider_errors_total", "code")},
            ["CallworkerUnknownProviderCode"],
        ),
        lines(
            "Retries, by reason",
            "Further requests a second. Retries without requests: the network or the name resolution here fails.",
            "reqps",
            {"{{reason}}": rate("callworker_retries_total", "reason")},
            ["CallworkerProviderErrors"],
        ),
    ]


def _objectives() -> list[Panel]:
    return [
        *_objective(
            "From accepted to first sent", "callworker_first_send_seconds", "CallworkerFirstSendBurn"
        ),
        *_objective("From ended to published", "callworker_publish_seconds", "CallworkerPublishBurn"),
    ]


def _bucket(histogram: str, seconds: float) -> str:
    return f'{histogram}_bucket{{le="{seconds}"}}'


def _objective(title: str, histogram: str, alert: str) -> list[Panel]:
    texts = {
        "callworker_first_send_seconds": "Jobs that met no limit of their account, from accepted to first byte sent.",
        "callworker_publish_seconds": "Events: from the outcome to the broker's confirmation.",
    }
    of_all = rate(f"{histogram}_count")
    shares = {f"within {n:.0f} s": f"{rate(_bucket(histogram, n))} / {of_all}" for n in (5.0, 10.0)}
    slow = {f"{share:.1%}": quantile(share, histogram) for share in (0.5, 0.99, 0.999)}
    return [
        logarithmic(
            lines(
                title,
                f"{texts[histogram]} The marks are the objectives, 5 s and 10 s.",
                "s",
                slow,
                [alert],
                marks=OBJECTIVES,
            ),
            least=0.001,
            most=20,
        ),
        lines(
            f"{title}, in time",
            f"{texts[histogram]} Share within 5 s and 10 s.",
            "percentunit",
            shares,
            [alert],
            top=1,
        ),
        heat(f"{title}, each", texts[histogram], f"{histogram}_bucket", [alert]),
    ]


def _results() -> list[Panel]:
    return [
        lines(
            "Published",
            "Events that the broker confirmed a second, beside the jobs that ended.",
            "cps",
            {
                "published": rate("callworker_results_published_total"),
                "ended": rate("callworker_jobs_finished_total"),
            },
            ["CallworkerResultsUnpublished"],
        ),
        lines(
            "Unpublished",
            "Events that are recorded and that the broker has not confirmed yet.",
            "short",
            {"events": "max(callworker_results_unpublished)"},
            ["CallworkerResultsUnpublished"],
        ),
        lines(
            "Messages in the broker, by queue",
            "Jobs that no worker has taken yet, and results that nobody has read.",
            "short",
            {
                "{{queue}}": "max by (queue) (callworker_queue_depth)",
                "dead letters": "max(callworker_dead_letters)",
            },
            ["CallworkerQueueNotTaken", "CallworkerResultsUnread", "CallworkerDeadLetters"],
        ),
    ]


def _workers() -> list[Panel]:
    return [
        lines(
            "Workers, by version",
            "Workers that answer Prometheus, by the version that they run.",
            "short",
            {"{{version}}": "count by (version) (callworker_build_info)"},
            ["CallworkerDown"],
            stacked=True,
        ),
        lines(
            "Places",
            "Calls that all workers together can have under way, and those that they have.",
            "short",
            {"places": "sum(callworker_places)", "used": "sum(callworker_places_used)"},
            ["CallworkerNoPlaces"],
        ),
        lines(
            "Faults of the program",
            "Loops' turns that ended in a fault of the program, and jobs that another worker took over, a second.",
            "cps",
            {
                "loop {{loop}}": rate("callworker_loop_failures_total", "loop"),
                "leases lost": rate("callworker_leases_lost_total"),
            },
            ["CallworkerNoProgress"],
        ),
    ]
