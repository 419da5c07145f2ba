"""The phrases that the queries are made of."""

from __future__ import annotations

ANSWERING = "max(callworker_build_info)"
"""1 if any worker answers Prometheus, else nothing."""
STORE_READ = "max(callworker_results_unpublished)"
"""There if a worker has read Redis, else nothing."""


def or_zero(query: str, known_by: str = ANSWERING) -> str:
    """`query`, or 0 where it gives nothing although `known_by` gives something: nobody's silence counts as 0."""
    return f"{query} or 0 * {known_by}"


def increased(series: str, window: str) -> str:
    """By how much a counter rose. A series that began within `window` counts from 0."""
    return f"(({series} unless {series} offset {window}) or increase({series}[{window}]))"


def shared_sum(series: str, by: str = "") -> str:
    """The sum over a shared gauge's series, each of which every worker may report: never their sum over workers."""
    labels = f"instance, {by}" if by else "instance"
    return f"max{f' by ({by})' if by else ''} (sum by ({labels}) ({series}))"


def rate(series: str, by: str = "") -> str:
    """How fast a counter rises over all workers, per second."""
    return f"sum{f' by ({by})' if by else ''} (rate({series}[$__rate_interval]))"


def worst(query: str, count: int = 10) -> str:
    """The series that are highest at each moment, so that a thousand accounts do not draw a thousand lines."""
    return f"topk({count}, {query})"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """The time under which `share` of a histogram's observations were, in seconds."""
    family, brace, labels = histogram.partition("{")
    buckets = rate(f"{family}_bucket{brace}{labels}", f"le, {by}" if by else "le")
    return f"histogram_quantile({share}, {buckets})"


def within(histogram: str, bucket: str, window: str) -> str:
    """Which share of a histogram's observations were at most `bucket` seconds: one of its bounds, such as 5.0."""
    met = f'sum(increase({histogram}_bucket{{le="{bucket}"}}[{window}]))'
    return f"{met} / (sum(increase({histogram}_count[{window}])) > 0)"


def worst_share(part: str, whole: str, least: int) -> str:
    """The highest share of an account; accounts with fewer than `least` of `part` do not count. 0 if there is none."""
    return or_zero(f"max((sum by (account) ({part}) >= {least}) / sum by (account) ({whole}))")
