"""callworker takes call-verification jobs from a broker, places the calls, and publishes the outcome of each.

The public doors and the rooms behind them, from the ground up:

    errors          the errors, named by what the worker does next
    failpoints      places where the fault harness can stop, freeze or fail a worker
    configuration/  reads what operators write: text files, keys, addresses
    settings        every setting, read from the environment
    core/           the rules of a job; uses no library but pydantic and tenacity
    network/        TLS, trusted certificates, and the reasons why a server cannot be used
    redisio/        access to Redis: connections, scripts, refusals
    http/           the bounded HTTP client
    privacy/        keeps PINs, numbers, keys and passwords out of everything that is logged, published or stored
    embedded/       a Redis server for a worker without REDIS_URL
    broker/         messages to any broker that kombu supports
    provider/       ProxStop's API
    delivery/       events to the results queue and to webhooks
    state/          the ledger, limits, outbox and schedules in Redis
    inbound/        messages from a broker
    tracing/        spans of jobs, with OpenTelemetry
    telemetry/      logs, metrics and health
    engine/         the threads of a worker
    producer        sends jobs, for producers in Python
    preflight/      checks before a worker starts
    wiring/         makes all parts of a worker and connects them
    celery_edge/    Celery's worker, adapted to the engine
    app             the Celery app
    sandbox/        a stand-in for the provider
    cli/            the command `callworker`
"""

__version__ = "0.2.0"
