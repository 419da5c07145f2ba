"""The way to any broker that kombu speaks to: addresses, bounded connections, confirmed publishing.

address.py     which broker
transports.py  kombu's connection, with addresses as they mean to every client, and TLS that verifies
connection.py  one connection that never waits for ever; every library's error becomes BrokerUnavailable
confirms.py    publisher confirms of AMQP, many messages in flight at once
redis_lists.py  kombu's lists in Redis, taken from without kombu's gap
lua.py         the scripts in scripts/, for these lists and for the stream
publisher.py   batches out, each message taken by the broker or an error raised
"""
