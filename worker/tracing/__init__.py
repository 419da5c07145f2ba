"""Makes spans of jobs with OpenTelemetry, if `TRACING` is on. No other room imports OpenTelemetry.

installed   what a start needs: the packages, and variables that name an exporter which there is
export      the provider of spans as the variables OTEL_… set it up, and what the log tells of its export
spans       names and forms that spans share
context     contexts as W3C spells them, in and out
jobs        the spans of a job, of its wait and of its calls; the ids that all workers compute alike
results     the span of an event that is published
deliveries  the span of each attempt at a webhook
sending     the span of a job that a producer sends
"""
