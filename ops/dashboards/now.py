"""The overview's first row: what is wrong at this moment. Whatever the fault, one of its tiles is not green.

Each tile is one instant query. It says which kind of fault there is; the rows below and the other dashboards say more.
"""

from __future__ import annotations

from ops.dashboards.panels import CALM, Panel, tile
from ops.dashboards.promql import ANSWERING, STORE_READ, increased, or_zero, within, worst_share
from ops.dashboards.tiles import redis_memory, unpublished, workers, workers_lost

ENDED = "callworker_jobs_finished_total"
LATELY = "5m"
FEWEST = 5
"""How many of an account's jobs must go wrong within LATELY before their share is shown."""

UNANSWERED = " or ".join(
    increased(series, LATELY)
    for series in (
        'callworker_retries_total{reason!="perhaps_rung"}',
        'callworker_provider_requests_total{result=~"perhaps_rung|misconfigured"}',
    )
)
ANSWERED = increased('callworker_provider_requests_total{result=~"placed|refused|account"}', LATELY)
ENDPOINT = "max by (account, endpoint)"


def tiles() -> list[Panel]:
    """The tiles in three lines: what the workers stand on, how calls go out, how what came of them leaves."""
    return [*_workers(), *_servers(), *_going_out(), *_provider(), *_endings(), *_leaving()]


def _workers() -> list[Panel]:
    stuck = "changes(callworker_last_progress_timestamp_seconds[1m]) == 0"
    running = "count_over_time(callworker_build_info[1m]) > 2"
    return [
        workers(),
        workers_lost(),
        tile(
            "Workers stuck",
            "Workers that answer Prometheus while none of their loops turns.",
            or_zero(f"count({stuck} and on (instance) {running})"),
            {None: "green", 1: "red"},
            ["CallworkerNoProgress"],
        ),
        tile(
            "Accounts files",
            "Different accounts files that living workers use, and one more while a worker refuses the file that it "
            "has. More than 1 is right during a rolling deploy only.",
            f"max(callworker_accounts_files) + ({or_zero('max(callworker_accounts_file_refused)')})",
            {None: "red", 1: "green", 2: "orange"},
            ["CallworkerAccountsFilesDiffer", "CallworkerAccountsFileRefused"],
        ),
        tile(
            "Clock offset",
            "The largest difference between a worker's clock and that of Redis.",
            "max(abs(callworker_clock_offset_seconds))",
            {None: "green", 5: "orange", 60: "red"},
            ["CallworkerClockOff"],
            unit="s",
        ),
    ]


def _servers() -> list[Panel]:
    store, broker = "min(callworker_store_up)", "min(callworker_broker_up)"
    apart = "max(callworker_shards_held) > 0 or max(callworker_store_shards_away) > 0"
    return [
        tile(
            "Redis",
            "Whether every worker reaches Redis, and Redis takes writes. If not, nothing is accepted or dialled; if in "
            "part, nothing of the accounts on shards that are out of reach, or whose state went back in time.",
            f"{store} == 0 or 3 * ({apart}) ^ 0 or {store} * (2 - min(callworker_store_writable)) or {store}",
            {None: "red", 1: "green", 2: "red"},
            [
                "CallworkerStoreDown",
                "CallworkerStorePartlyDown",
                "CallworkerStoreCannotWrite",
                "CallworkerStoreSetBack",
            ],
            words={0: ("down", "red"), 1: ("up", "green"), 2: ("no writes", "red"), 3: ("in part", "red")},
        ),
        redis_memory(),
        tile(
            "Broker",
            "Whether every worker reaches the broker, and it takes messages. If not, no jobs come in.",
            f"{broker} * (1 + max(callworker_broker_blocked)) or {broker}",
            {None: "red", 1: "green", 2: "red"},
            ["CallworkerBrokerDown", "CallworkerBrokerBlocked"],
            words={0: ("down", "red"), 1: ("up", "green"), 2: ("blocked", "red")},
        ),
    ]


def _going_out() -> list[Panel]:
    queued = 'sum(max by (queue) (callworker_queue_depth{queue!="results"}))'
    wanted = "max(min_over_time(callworker_workers_wanted[2m]))"
    return [
        tile(
            "Dialling",
            "Paused while a worker dials nothing, because events cannot leave, Redis takes no writes, or an operator "
            "drains the workers.",
            or_zero("max(callworker_dialling_paused)"),
            {None: "green", 1: "red"},
            ["CallworkerDiallingPaused", "CallworkerDrained"],
            words={0: ("on", "green"), 1: ("paused", "red")},
        ),
        tile(
            "Jobs not taken",
            "Messages in the queues of jobs while no worker has accepted any for a minute.",
            f"({queued} unless sum(rate(callworker_jobs_accepted_total[1m])) > 0) or 0 * {queued}",
            {None: "green", 1: "orange", 100: "red"},
            ["CallworkerQueueNotTaken"],
        ),
        tile(
            "Workers missing",
            "How many more workers the jobs need that their accounts' limits let go.",
            f"clamp_min({wanted} - max(callworker_workers), 0)",
            CALM,
            ["CallworkerNoPlaces"],
        ),
        tile(
            "Expiring",
            "The oldest waiting job's age as a share of the time after which it expires, of the worst account.",
            or_zero("max(callworker_oldest_waiting_ratio)", STORE_READ),
            {None: "green", 0.5: "orange", 0.9: "red"},
            ["CallworkerExpiringSoon"],
            unit="percentunit",
        ),
    ]


def _provider() -> list[Panel]:
    throttled = increased("callworker_provider_throttled_total", LATELY)
    return [
        tile(
            "Provider",
            "Share of the tries of the last five minutes that brought no answer, of the worst account.",
            worst_share(UNANSWERED, f"{UNANSWERED} or {ANSWERED}", FEWEST),
            {None: "green", 0.1: "orange", 0.5: "red"},
            ["CallworkerProviderErrors", "CallworkerProviderFailing", "CallworkerProviderMisconfigured"],
            unit="percentunit",
        ),
        tile(
            "Throttled",
            "Accounts that the provider told to be slower (429) in the last five minutes: their limit is set too high.",
            or_zero(f"count(sum by (account) ({throttled}) >= {FEWEST})"),
            CALM,
            ["CallworkerThrottled"],
        ),
        tile(
            "Held",
            "Accounts on hold, by the provider's refusal or by an operator. Their jobs wait, and expire.",
            or_zero("count(max by (account) (callworker_account_held) > 0)", STORE_READ),
            CALM,
            ["CallworkerAccountHeld"],
        ),
    ]


def _endings() -> list[Panel]:
    unknown = worst_share(increased(f'{ENDED}{{status="unknown"}}', LATELY), increased(ENDED, LATELY), FEWEST)
    codes = increased('callworker_provider_errors_total{code="unknown"}', "30m")
    return [
        tile(
            "Expired",
            "Share of the jobs that ended in the last five minutes as expired, of the worst account.",
            worst_share(increased(f'{ENDED}{{status="expired"}}', LATELY), increased(ENDED, LATELY), FEWEST),
            {None: "green", 0.01: "orange", 0.1: "red"},
            ["CallworkerExpired"],
            unit="percentunit",
        ),
        tile(
            "Failed",
            "Share of the jobs that ended in the last five minutes as failed or rejected, of the worst account.",
            worst_share(
                increased(f'{ENDED}{{status=~"failed|rejected"}}', LATELY), increased(ENDED, LATELY), FEWEST
            ),
            {None: "green", 0.2: "orange", 0.5: "red"},
            ["CallworkerJobsFailing", "CallworkerRejected"],
            unit="percentunit",
        ),
        tile(
            "Unknown outcomes",
            "Share of the jobs of the last five minutes whose answer was lost, of the worst account.",
            unknown,
            {None: "green", 0.02: "orange", 0.1: "red"},
            ["CallworkerUnknownOutcomes"],
            unit="percentunit",
        ),
        tile(
            "Unknown codes",
            "Refusals in the last half hour with a code that no table lists.",
            or_zero(f"sum({codes})"),
            CALM,
            ["CallworkerUnknownProviderCode"],
        ),
    ]


def _leaving() -> list[Panel]:
    return [
        unpublished(),
        tile(
            "Results unread",
            "Messages that have stayed in queue `results` for five minutes: its readers do not keep up.",
            'max(min_over_time(callworker_queue_depth{queue="results"}[5m]))',
            {None: "green", 100: "orange", 10_000: "red"},
            ["CallworkerResultsUnread"],
        ),
        tile(
            "Dead letters",
            "Messages that no worker could take. They are kept for somebody to look at.",
            "max(callworker_dead_letters)",
            CALM,
            ["CallworkerDeadLetters"],
        ),
        tile(
            "Webhooks in trouble",
            "Webhook endpoints that are disabled, fail, lag by an hour, or whose events were given up.",
            or_zero(f"count({_endpoints_in_trouble()})", STORE_READ),
            CALM,
            [
                "CallworkerWebhookFailures",
                "CallworkerWebhookEndpointDisabled",
                "CallworkerWebhookBreakerOpen",
                "CallworkerWebhookGivenUp",
                "CallworkerWebhookBacklogOld",
            ],
        ),
        tile(
            "First sends in 5 s",
            "Share of the last half hour's jobs that met no limit and were sent within 5 s.",
            f"{within('callworker_first_send_seconds', '5.0', '30m')} or -1 * {ANSWERING}",
            {None: "blue", 0: "red", 0.99: "orange", 0.999: "green"},
            ["CallworkerFirstSendBurn"],
            unit="percentunit",
            words={-1: ("no jobs", "blue")},
        ),
    ]


def _endpoints_in_trouble() -> str:
    return " or ".join(
        (
            f"{ENDPOINT} (callworker_webhook_endpoint_disabled) > 0",
            f"{ENDPOINT} (callworker_webhook_endpoint_breaker_open) > 0",
            f"{ENDPOINT} (callworker_webhook_endpoint_success_ratio) < 0.9",
            f"{ENDPOINT} (callworker_webhook_endpoint_oldest_pending_seconds) > 3600",
            f"{ENDPOINT} ({increased('callworker_webhook_given_up_total', '30m')}) > 0",
        )
    )
