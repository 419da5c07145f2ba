"""The way in: takes messages from a broker and gives them to the engine's intake.

entry        a message on its way from a broker into the ledger
messages     reads a message into a submission, or says why it cannot be read
redis_queue  Celery messages from a Redis broker
redis_lists  kombu's lists in Redis, read without kombu's gap
stream       plain JSON jobs from the Redis stream `calls.intake`
listening    when a source polls and when it waits for the bell
upkeep       when a worker renews its claim on messages, and looks for those of lost workers
depth        how many messages wait in the broker's queues
key_types    what each key of a Redis broker should hold
lua          the scripts in scripts/
"""
