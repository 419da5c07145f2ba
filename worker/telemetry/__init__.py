"""What a worker tells: logs, metrics and health.

logs          log lines, each of them redacted
outlet        text to a file descriptor that perhaps nobody reads
metrics       every metric of the program
labels        the closed sets of label values
watching      each fact as one log line and the metrics that count it
outages       which servers are away, and what of that is news
shared_state  the state of all workers, as gauges
readiness     why no job gets through at the moment
health        /metrics, /livez and /readyz
pages         a small HTTP server that slow clients cannot hold up
threads       names of threads as the system shows them
"""
