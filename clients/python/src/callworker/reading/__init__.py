"""Reads events from the exchange `results`, over a connection of its own.

connecting    a reader for each kind of broker
iterating     the iterators, which connect again after an outage
names         queues, and patterns of types
lists         queues that are lists in Redis
redis_source  reads them
amqp_source   reads queues of RabbitMQ
"""
