"""Reports what a worker does: logs, metrics and health.

logs            log lines, all of them redacted
outlet          writes text to a file descriptor that may not be read
metrics         every metric of a process
series          the series of a metric with labels
exemplars       the jobs that histograms name as examples
accounts_file   which accounts file is in use, and what changed
account_labels  which accounts have series of their own
labels          label values that no other room has: codes of the provider, reasons of a hold and of a further request
watching        Watching: each fact as one log line and the metrics that count it
counting        CountingProvider: requests to the provider that are in flight, and their keys
troubles        Troubles: outages of Redis and the broker, and faults of loops, in the log
provider_outages  whether the provider is away for an account
outages         the servers that are away, and which failures are news
shared_metrics  every metric that describes all workers together
shared_state    reads and fills them
account_state   fills those of accounts
endpoint_state  fills those of webhook endpoints
fleet           the workers as metrics: places, how many live, were lost and are wanted; when Redis will be full
questions       reads servers in threads of their own, so that no page waits for long
server_state    what this process last heard from the servers, as metrics
readiness       why no job gets through at the moment
health          /metrics, /livez and /readyz
views           pages in the forms that clients may ask for
pages           a small HTTP server that slow clients cannot block
threads         names of threads for the system's tools
"""
