"""Declares the metrics of the state that all workers share, with their help texts and labels.

Those marked "Shared" are served by one worker at a time: aggregate them with `max`, not `sum`. The collectors of this
room fill them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

SharedMetric = CounterMetricFamily | GaugeMetricFamily

SHARED: dict[str, tuple[str, tuple[str, ...]]] = {
    "jobs_waiting": ("Shared: jobs that wait in a lane, by reason.", ("account", "reason")),
    "oldest_waiting_seconds": ("Shared: how long the oldest waiting job has waited.", ("account",)),
    "oldest_waiting_ratio": (
        "Shared: how long the oldest waiting job has waited, as a share of the account's `ttl`.",
        ("account",),
    ),
    "account_held": ("Shared: 1 while the account is held for this reason.", ("account", "reason")),
    "webhook_pending": ("Shared: webhook deliveries that wait or are in flight.", ("account",)),
    "webhook_endpoint_pending": (
        "Shared: webhook deliveries of the endpoint that wait or are in flight.",
        ("account", "endpoint"),
    ),
    "webhook_endpoint_oldest_pending_seconds": (
        "Shared: how long the oldest of these has been on its way, since its event or its replay.",
        ("account", "endpoint"),
    ),
    "webhook_endpoint_breaker_open": (
        "Shared: 1 while the endpoint's breaker is open and only a probe now and then is sent.",
        ("account", "endpoint"),
    ),
    "webhook_endpoint_disabled": (
        "Shared: 1 while the endpoint is disabled for this reason.",
        ("account", "endpoint", "reason"),
    ),
    "webhook_endpoint_success_ratio": (
        "Shared: share of the attempts of the last five minutes that were answered with 2xx; NaN without any.",
        ("account", "endpoint"),
    ),
    "webhook_given_up_total": (
        "Shared: webhook deliveries that were given up, by reason.",
        ("account", "endpoint", "reason"),
    ),
    "results_unpublished": ("Shared: events that the results queue has not confirmed yet.", ()),
    "dead_letters": ("Shared: messages on the list of dead letters.", ()),
    "store_shards_away": (
        "Shared: shards of the state whose Redis server does not answer, while another one does. What they hold is "
        "missing from the other metrics.",
        (),
    ),
    "queue_depth": ("Shared: messages in a queue of the broker that no worker has taken yet.", ("queue",)),
    "workers": ("Shared: workers that live, by what they report to Redis.", ()),
    "workers_lost": (
        "Shared: workers that fell silent without having stopped. One is forgotten when it is heard again, when "
        "another worker starts in its place, and after an hour.",
        (),
    ),
    "eligible_now": (
        "Shared: waiting jobs that would go now if there were places: no limit and no hold keeps them back.",
        (),
    ),
    "workers_wanted": (
        "Shared: workers with as many places as this one that all calls in flight and `eligible_now` need, at least 1: "
        "for an autoscaler.",
        (),
    ),
    "redis_memory_full_seconds": (
        "Shared: seconds until Redis uses `maxmemory` if it grows on as in the last 6 h; infinite if it does not grow, "
        "absent without a limit.",
        (),
    ),
    "places": ("Calls that this worker can have in flight (`CONCURRENCY`).", ()),
    "places_used": ("Places for calls that are taken at this worker.", ()),
    "shared_state_served": (
        "1 at the one worker whose scrapes hold the shared metrics, 0 at the others. Another worker takes over within "
        "5 s.",
        (),
    ),
    "store_up": ("1 if Redis, or one of its servers, answered this scrape.", ()),
    "store_writable": ("1 if Redis took this worker's last write, which a full Redis refuses.", ()),
    "redis_memory_used_bytes": ("Memory that Redis uses.", ()),
    "redis_memory_limit_bytes": ("Redis' `maxmemory`, at which it refuses writes; 0 if it has none.", ()),
    "clock_offset_seconds": ("This machine's clock minus Redis' clock.", ()),
    "broker_blocked": (
        "1 while the broker takes no messages, because it is short of memory or disk space; 0 if it is the store too.",
        (),
    ),
    "dialling_paused": ("1 while the worker dials nothing for this cause.", ("cause",)),
    "broker_up": ("1 if the broker answered this scrape.", ()),
}


def _empty(name: str) -> SharedMetric:
    """Return an empty metric of the shared state, to be filled during one scrape. A name in `_total` is a counter's."""
    text, labels = SHARED[name]
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return kind(f"callworker_{name}", text, labels=labels)


def filled(name: str, values: Iterable[tuple[Sequence[str], float]]) -> SharedMetric:
    """Return the metric with a series for each of `values`: the values of its labels, and its own."""
    metric = _empty(name)
    for labels, value in values:
        metric.add_metric(labels, value)
    return metric
