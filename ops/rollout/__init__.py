"""Restarts, upgrade and rollback under load, counted from outside: `python -m ops.rollout`, or `make rollout`.

releases    the last release, from git, with an environment of its own
load        a steady load of jobs, some of which wait for their account's limit
arrivals    the events that came, on the results queue and at the webhook
scene       Redis, RabbitMQ, the provider, and two workers of the versions that a phase needs
phases      what is done to the workers while the load goes on
judging     what was lost, rung twice or sent above a limit in each phase
trial       all phases on one broker
table       the table in ops/rollout.md
"""
