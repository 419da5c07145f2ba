"""The way out to any broker that kombu speaks to: addresses, bounded connections, confirmed publishing.

address            which servers: BROKER_URL, REDIS_URL or the embedded server
queues             names and shapes of all queues and exchanges
transports         kombu's connection, with addresses read as everywhere else, and TLS that verifies
connection         one connection whose waits all have an end
declaring          queues and exchanges; some exist already or may not be made by this user
write_check        whether RabbitMQ takes messages
redis_write_check  whether a Redis broker does
refusal            tells a broker that refuses from one that is away
rights             whether RabbitMQ allows this user to take jobs and send events
own_queue          a queue of one program's own, for as long as it runs
message            a message on its way out
publisher          sends batches; the broker takes every message, or an error is raised
confirms           publisher confirms of AMQP, many messages in flight
redis_outbound     messages into kombu's lists in Redis
amqp_wire          py-amqp's socket, read and written less often
amqp_frames        messages taken from the frames of an AMQP connection
amqp_properties    the few properties of an AMQP message that are read
"""
