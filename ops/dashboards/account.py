"""One account: what comes in, what its jobs wait for, what the provider and its webhooks answer."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.dashboards.frame import assemble, picked
from ops.dashboards.panels import CALM, NEUTRAL, Panel, heat, lines, tile
from ops.dashboards.promql import STORE_READ, increased, or_zero, quantile, rate, shared_sum

ITS = '{account="$account"}'
LATELY = "5m"


def dashboard() -> Dashboard:
    rows = {
        "Now": _now(),
        "Jobs": _jobs(),
        "Waiting": _waiting(),
        "Provider": _provider(),
        "Leaving": _leaving(),
    }
    account = picked("account", "Account", "label_values(callworker_jobs_accepted_total, account)")
    return assemble("account", "One account's jobs, from accepted to delivered.", rows, [account])


def _its(metric: str, **labels: str) -> str:
    """The account's series of a metric, where `labels` match as regular expressions."""
    others = "".join(f', {label}=~"{value}"' for label, value in labels.items())
    return f'callworker_{metric}{{account="$account"{others}}}'


def _now() -> list[Panel]:
    ended = f"(sum({increased(_its('jobs_finished_total'), LATELY)}) > 0)"
    placed = f"sum({increased(_its('jobs_finished_total', status='placed'), LATELY)})"
    return [
        tile(
            "Waiting",
            "Jobs in the account's lane.",
            or_zero(shared_sum(_its("jobs_waiting")), STORE_READ),
            NEUTRAL,
        ),
        tile(
            "Oldest waiting",
            "The oldest waiting job's age.",
            or_zero(f"max({_its('oldest_waiting_seconds')})", STORE_READ),
            NEUTRAL,
            unit="s",
        ),
        tile(
            "Expiring",
            "The oldest waiting job's age as a share of the time after which it expires.",
            or_zero(f"max({_its('oldest_waiting_ratio')})", STORE_READ),
            {None: "green", 0.5: "orange", 0.9: "red"},
            ["CallworkerExpiringSoon"],
            unit="percentunit",
        ),
        tile(
            "Held",
            "Whether the account is on hold, by the provider's refusal or by an operator.",
            or_zero(f"max({_its('account_held')})", STORE_READ),
            CALM,
            ["CallworkerAccountHeld"],
            words={0: ("no", "green"), 1: ("held", "orange")},
        ),
        tile(
            "Placed",
            "Share of the jobs that ended in the last five minutes for which the provider gave a ref.",
            f"{placed} / {ended} or 0 * {ended} or -1 * max(callworker_build_info)",
            {None: "blue", 0: "red", 0.5: "orange", 0.8: "green"},
            ["CallworkerJobsFailing"],
            unit="percentunit",
            words={-1: ("no jobs", "blue")},
        ),
        tile(
            "Throttled",
            "Answers 429 in the last five minutes: the account's limit is set too high.",
            or_zero(f"sum({increased(_its('provider_throttled_total'), LATELY)})"),
            {None: "green", 1: "orange"},
            ["CallworkerThrottled"],
        ),
        tile(
            "Unknown codes",
            "Refusals of the last half hour with a code that no table lists.",
            or_zero(f"sum({increased(_its('provider_errors_total', code='unknown'), '30m')})"),
            CALM,
            ["CallworkerUnknownProviderCode"],
        ),
        tile(
            "Webhooks pending",
            "Webhook deliveries of the account that wait or are in flight.",
            or_zero(f"max({_its('webhook_pending')})", STORE_READ),
            NEUTRAL,
            ["CallworkerWebhookBacklogOld"],
        ),
    ]


def _jobs() -> list[Panel]:
    return [
        lines(
            "Accepted, by way in",
            "Jobs accepted a second, those that had been accepted before, and those of them that differ.",
            "cps",
            {
                "{{source}}": rate(_its("jobs_accepted_total"), "source"),
                "duplicates": rate(_its("duplicates_total")),
                "conflicts": rate(_its("conflicts_total")),
            },
        ),
        lines(
            "Ended, by status",
            "Jobs that ended a second.",
            "cps",
            {"{{status}}": rate(_its("jobs_finished_total"), "status")},
            ["CallworkerJobsFailing", "CallworkerExpired", "CallworkerUnknownOutcomes", "CallworkerRejected"],
            stacked=True,
        ),
        heat(
            "From accepted to ended",
            "How long jobs took from acceptance to their end, with all waits. Expired jobs are among them.",
            f"callworker_job_seconds_bucket{ITS}",
            ["CallworkerExpired"],
        ),
    ]


def _waiting() -> list[Panel]:
    return [
        lines(
            "Waiting, by reason",
            "Jobs in the account's lane, by what holds them.",
            "short",
            {"{{reason}}": shared_sum(_its("jobs_waiting"), "reason")},
            ["CallworkerExpiringSoon", "CallworkerNoPlaces"],
            stacked=True,
        ),
        lines(
            "Oldest waiting as a share of its time",
            "At 100 % the job expires.",
            "percentunit",
            {"oldest": f"max({_its('oldest_waiting_ratio')})"},
            ["CallworkerExpiringSoon"],
            marks={0.5: "orange", 1: "red"},
        ),
        lines(
            "From accepted to ended, typical and slow",
            "Half of the jobs took less time than the first line, 99 of 100 less than the second.",
            "s",
            {
                "half": quantile(0.5, f"callworker_job_seconds{ITS}"),
                "99 of 100": quantile(0.99, f"callworker_job_seconds{ITS}"),
            },
            ["CallworkerExpired"],
        ),
    ]


def _provider() -> list[Panel]:
    return [
        lines(
            "Requests, by result",
            "Requests to the provider a second. `not_rung` was turned away, `perhaps_rung` had its answer lost.",
            "reqps",
            {"{{result}}": rate(_its("provider_requests_total"), "result")},
            ["CallworkerProviderFailing"],
            stacked=True,
        ),
        lines(
            "Refusals by code, and throttling",
            "Refusals by the provider a second, by its code, and answers 429.",
            "reqps",
            {
                "{{code}}": rate(_its("provider_errors_total"), "code"),
                "throttled": rate(_its("provider_throttled_total")),
            },
            ["CallworkerThrottled", "CallworkerUnknownProviderCode", "CallworkerJobsFailing"],
        ),
        lines(
            "Retries by reason, and leases lost",
            "Further requests a second, and jobs that another worker took over.",
            "reqps",
            {
                "{{reason}}": rate(_its("retries_total"), "reason"),
                "leases lost": rate(_its("leases_lost_total")),
            },
            ["CallworkerProviderFailing"],
        ),
    ]


def _leaving() -> list[Panel]:
    return [
        lines(
            "Webhook requests, by result",
            "Requests to the account's webhooks a second.",
            "reqps",
            {"{{result}}": rate(_its("webhook_attempts_total"), "result")},
            ["CallworkerWebhookFailures"],
            stacked=True,
        ),
        lines(
            "Webhooks pending, by endpoint",
            "Deliveries that wait or are in flight.",
            "short",
            {"{{endpoint}}": f"max by (endpoint) ({_its('webhook_endpoint_pending')})"},
            ["CallworkerWebhookBacklogOld"],
        ),
        lines(
            "Oldest pending, by endpoint",
            "How long the oldest delivery has been on its way.",
            "s",
            {"{{endpoint}}": f"max by (endpoint) ({_its('webhook_endpoint_oldest_pending_seconds')})"},
            ["CallworkerWebhookBacklogOld"],
            marks={3600: "orange"},
        ),
    ]
