"""The client for asyncio.

client   sends jobs over one connection
link     a connection that is made when it is needed
redis    one connection to Redis
masters  connections to the master that Redis Sentinel names
amqp     one connection to RabbitMQ
"""
