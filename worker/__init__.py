"""callworker: takes call-verification jobs from a broker, has the phone rung, and publishes what came of it.

The doors that users know, and the rooms behind them, from the ground up:

    errors          what can go wrong, named by what the worker does next
    failpoints      places at which the fault harness can stop, freeze or fail a worker
    configuration/  reading what operators write: text files, keys, addresses
    settings        every setting, read from the environment
    core/           what a job is and what may happen to it; knows no library but pydantic and tenacity
    network/        TLS, trusted certificates, and why a server cannot be used
    redisio/        speaking to Redis: connections, scripts, what Redis refuses
    http/           the bounded HTTP client
    privacy/        keeping PINs, numbers, keys and passwords out of what is told
    embedded/       a Redis server of our own, for a worker without REDIS_URL
    broker/         messages out to any broker that kombu speaks to
    provider/       ProxStop's API
    delivery/       events out to the results queue and to webhooks
    state/          the ledger, limits, outbox and schedules in Redis
    inbound/        messages in from a broker
    telemetry/      logs, metrics and health
    engine/         the threads of a worker
    producer        jobs in, for producers in Python
    preflight/      what must be right before a worker may start
    wiring          makes all parts of a worker and joins them
    celery_edge/    Celery's worker, fitted to the engine
    app             the Celery app
    sandbox/        a stand-in for the provider
    cli/            the command `callworker`
"""

__version__ = "0.1.0"
