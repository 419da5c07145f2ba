# Sends one job to callworker over RabbitMQ. Needs the gem bunny.
#
#     export AMQP_URL=amqp://guest:guest@localhost/%2F
#     ruby rabbitmq.rb id=order-4712 account=acme country=1 phone=2125550123 code=4711

require "bunny"
require "json"

job = ARGV.to_h { |field| field.split("=", 2) }

connection = Bunny.new(ENV.fetch("AMQP_URL"), automatically_recover: false).start
channel = connection.create_channel
channel.confirm_select

returned = false
exchange = channel.default_exchange
exchange.on_return { returned = true }
exchange.publish(JSON.generate(job), routing_key: "calls.intake", content_type: "application/json",
                                     persistent: true, mandatory: true)
confirmed = channel.wait_for_confirms
connection.close
abort "RabbitMQ did not take the job" if returned || !confirmed
