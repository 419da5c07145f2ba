"""Redis: the ledger of jobs with the limits, the outbox of events, the webhook schedule, and views of them all."""
