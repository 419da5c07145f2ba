"""Reads events from the exchange `results`, over a connection of its own.

names           queues, and patterns of types
lists           queues that are lists in Redis
connecting      a reader for each kind of broker
iterating       the iterator, which connects again after an outage
redis_source    reads lists in Redis
amqp_source     reads queues of RabbitMQ
aio_connecting  a reader for each kind of broker, for asyncio
aio_iterating   the iterator for asyncio
aio_redis       reads lists in Redis, for asyncio
aio_amqp        reads queues of RabbitMQ, for asyncio
"""
