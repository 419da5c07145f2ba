"""The way out to any broker that kombu speaks to: addresses, bounded connections, confirmed publishing.

address          which servers: BROKER_URL, REDIS_URL or the embedded server
queues           names and shapes of all queues and exchanges
transports       kombu's connection, with addresses read as everywhere else, and TLS that verifies
connection       one connection that never waits for ever
declaring        queues and exchanges that exist already, or that the user may not make
refusal          a broker that refuses is not one that is away
rights           whether RabbitMQ lets this user take jobs and send events
message          a message on its way out
publisher        batches out, each message taken by the broker or an error raised
confirms         publisher confirms of AMQP, many messages in flight
redis_outbound   messages into kombu's lists in Redis
amqp_wire        py-amqp's socket, read and written less often
amqp_frames      messages taken from the frames of an AMQP connection
amqp_properties  the few properties of an AMQP message that are read
"""
