"""Webhooks and their endpoints."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.dashboards.frame import assemble, picked
from ops.dashboards.panels import CALM, NEUTRAL, Panel, heat, lines, listing, tile
from ops.dashboards.promql import STORE_READ, increased, or_zero, quantile, rate, shared_sum, worst

OF_ACCOUNT = '{account=~"$account"}'
PICKED = 'account=~"$account", endpoint=~"$endpoint"'
EACH = "account, endpoint"
LEGEND = "{{account}} {{endpoint}}"
TO_ACCOUNT = (
    "Open this account",
    "/d/callworker-account?var-account=${__data.fields.account}&${__url_time_range}",
)


def dashboard() -> Dashboard:
    variables = [
        picked(
            "account", "Account", "label_values(callworker_webhook_endpoint_pending, account)", several=True
        ),
        picked(
            "endpoint",
            "Endpoint",
            f"label_values(callworker_webhook_endpoint_pending{OF_ACCOUNT}, endpoint)",
            several=True,
        ),
    ]
    rows = {"Now": _now(), "Requests": _requests(), "Endpoints": _endpoints(), "Trouble": _trouble()}
    return assemble("webhooks", "Webhook deliveries, by account and endpoint.", rows, variables)


def _of(metric: str) -> str:
    return f"callworker_webhook_{metric}{{{PICKED}}}"


def _each(metric: str) -> str:
    """A shared gauge of endpoints: the same at every worker, hence max."""
    return f"max by ({EACH}) ({_of(metric)})"


def _now() -> list[Panel]:
    attempts = increased(_of("endpoint_attempts_total"), "5m")
    delivered = increased(f'callworker_webhook_endpoint_attempts_total{{{PICKED}, result="delivered"}}', "5m")
    given_up = f"max by ({EACH}) ({increased(_of('given_up_total'), '30m')})"
    return [
        tile(
            "Requests",
            "Webhook requests a second, over the last five minutes.",
            or_zero(f"sum(rate({_of('endpoint_attempts_total')}[5m]))"),
            NEUTRAL,
            unit="reqps",
        ),
        tile(
            "Answered with 2xx",
            "Share of the requests of the last five minutes.",
            f"sum({delivered}) / (sum({attempts}) > 0) or 0 * (sum({attempts}) > 0) or -1 * max(callworker_build_info)",
            {None: "blue", 0: "red", 0.9: "orange", 0.99: "green"},
            ["CallworkerWebhookFailures"],
            unit="percentunit",
            words={-1: ("no requests", "blue")},
        ),
        tile(
            "Pending", "Deliveries that wait or are in flight.", shared_sum(_of("endpoint_pending")), NEUTRAL
        ),
        tile(
            "Oldest pending",
            "How long the oldest delivery has been on its way.",
            or_zero(f"max({_of('endpoint_oldest_pending_seconds')})", STORE_READ),
            {None: "green", 3600: "orange", 86400: "red"},
            ["CallworkerWebhookBacklogOld"],
            unit="s",
        ),
        tile(
            "Failing",
            "Endpoints that answered fewer than nine of ten requests of the last five minutes with 2xx.",
            or_zero(f"count({_each('endpoint_success_ratio')} < 0.9)", STORE_READ),
            CALM,
            ["CallworkerWebhookFailures"],
        ),
        tile(
            "Breakers open",
            "Endpoints that failed so often that only a probe now and then is sent.",
            or_zero(f"count({_each('endpoint_breaker_open')} > 0)", STORE_READ),
            CALM,
            ["CallworkerWebhookBreakerOpen"],
        ),
        tile(
            "Disabled",
            "Endpoints to which nothing is sent.",
            or_zero(f"count({_each('endpoint_disabled')} > 0)", STORE_READ),
            CALM,
            ["CallworkerWebhookEndpointDisabled"],
        ),
        tile(
            "Given up",
            "Deliveries that were given up in the last half hour.",
            or_zero(f"sum({given_up})", STORE_READ),
            CALM,
            ["CallworkerWebhookGivenUp"],
        ),
    ]


def _requests() -> list[Panel]:
    return [
        lines(
            "Requests, by result",
            "Webhook requests a second.",
            "reqps",
            {"{{result}}": rate(f"callworker_webhook_attempts_total{OF_ACCOUNT}", "result")},
            ["CallworkerWebhookFailures"],
            stacked=True,
        ),
        heat(
            "Latency of a request",
            "How long webhook requests of all accounts took until their answer.",
            "callworker_webhook_attempt_seconds_bucket",
        ),
        heat(
            "From event to 2xx",
            "From a job's end to the 2xx answer, with all attempts and the waits between them; for a replay too.",
            f"callworker_webhook_delivery_seconds_bucket{{{PICKED}}}",
            ["CallworkerWebhookBacklogOld"],
        ),
        lines(
            "Requests without 2xx, worst endpoints",
            "Requests a second that were not answered with 2xx.",
            "reqps",
            {
                f"{LEGEND} {{{{result}}}}": worst(
                    rate(
                        f'callworker_webhook_endpoint_attempts_total{{{PICKED}, result!="delivered"}}',
                        f"{EACH}, result",
                    )
                )
            },
            ["CallworkerWebhookFailures"],
        ),
        lines(
            "From event to 2xx, slowest endpoints",
            "99 of 100 deliveries took less time.",
            "s",
            {LEGEND: worst(quantile(0.99, f"callworker_webhook_delivery_seconds{{{PICKED}}}", EACH))},
            ["CallworkerWebhookBacklogOld"],
        ),
        lines(
            "Latency of a request, typical and slow",
            "Half of the requests are answered faster than the first line, 99 of 100 faster than the second.",
            "s",
            {
                "half": quantile(0.5, "callworker_webhook_attempt_seconds"),
                "99 of 100": quantile(0.99, "callworker_webhook_attempt_seconds"),
            },
        ),
    ]


def _endpoints() -> list[Panel]:
    return [
        lines(
            "Pending, longest endpoints",
            "Deliveries that wait or are in flight.",
            "short",
            {LEGEND: worst(_each("endpoint_pending"))},
            ["CallworkerWebhookBacklogOld"],
        ),
        lines(
            "Oldest pending, worst endpoints",
            "How long the oldest delivery has been on its way.",
            "s",
            {LEGEND: worst(_each("endpoint_oldest_pending_seconds"))},
            ["CallworkerWebhookBacklogOld"],
            marks={3600: "orange"},
        ),
        lines(
            "Answered with 2xx, worst endpoints",
            "Share of the requests of the last five minutes. A gap: there were none.",
            "percentunit",
            {LEGEND: f"bottomk(10, {_each('endpoint_success_ratio')})"},
            ["CallworkerWebhookFailures"],
            marks={0.9: "orange"},
            top=1,
        ),
    ]


def _trouble() -> list[Panel]:
    given_up = f"max by ({EACH}, reason) (increase({_of('given_up_total')}[$__rate_interval])) > 0"
    return [
        lines(
            "Breakers open, endpoints disabled",
            "Endpoints to which only probes are sent, or nothing at all, by reason.",
            "short",
            {
                "breaker open": or_zero(f"count({_each('endpoint_breaker_open')} > 0)", STORE_READ),
                "{{reason}}": f"count by (reason) (max by ({EACH}, reason) ({_of('endpoint_disabled')}) > 0)",
            },
            ["CallworkerWebhookBreakerOpen", "CallworkerWebhookEndpointDisabled"],
            stacked=True,
        ),
        lines(
            "Given up, by endpoint and reason",
            "Deliveries that will not be tried again by themselves. They can be replayed for 7 days.",
            "short",
            {f"{LEGEND} {{{{reason}}}}": worst(f"({given_up})")},
            ["CallworkerWebhookGivenUp"],
        ),
        listing(
            "Endpoints with the oldest deliveries",
            "How long the oldest delivery has been on its way. A row leads to its account.",
            "s",
            worst(_each("endpoint_oldest_pending_seconds"), 20),
            TO_ACCOUNT,
            ["CallworkerWebhookBacklogOld"],
        ),
    ]
