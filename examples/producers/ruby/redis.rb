# Sends one job to callworker over Redis. Needs the gem redis.
#
#     export REDIS_URL=redis://localhost:6379/0
#     ruby redis.rb id=order-4712 account=acme country=1 phone=2125550123 code=4711

require "json"
require "redis"

job = ARGV.to_h { |field| field.split("=", 2) }

redis = Redis.new(url: ENV.fetch("REDIS_URL"))
redis.xadd("calls.intake", { "job" => JSON.generate(job) })
