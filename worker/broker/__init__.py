"""The way to any broker that kombu speaks to: addresses, bounded connections, confirmed publishing.

address.py     which broker
transports.py  kombu's connection, with addresses as they mean to every client, and TLS that verifies
greeting.py    asks before the start whether the servers will have this worker
refusal.py     a broker that says no is not one that is away
declaring.py   queues and exchanges, where they are there already and where the user may not make them
connection.py  one connection that never waits for ever; every library's error becomes BrokerUnavailable
confirms.py    publisher confirms of AMQP, many messages in flight at once
redis_lists.py  kombu's lists in Redis, taken from without kombu's gap
lua.py         the scripts in scripts/, for these lists and for the stream
publisher.py   batches out, each message taken by the broker or an error raised
"""
